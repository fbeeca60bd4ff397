"""Consent for a million customers: ``make bench-consent``.

How long an import takes, cold and again; and how much applying consent adds to the scan that it filters. The scan
without consent reads, checks, sorts and writes the same rows with the same engine, everybody's. What belongs to the
proof, and is done once for each cohort and not for each row of the dataset, is shown by itself. Results go to
benchmarks/results/consent.json.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from consortia_common.documents.consent_notice import ConsentNotice
from consortia_node.consent import Need
from consortia_node.consent_import import Findings
from consortia_node.consent_proofs import keep_pairs
from consortia_node.datasets import DatasetSettings, load
from consortia_node.keyring import Keyring
from consortia_node.sources.consent_file import read_file
from consortia_node.sources.consent_rows import rows_of
from consortia_node.sources.forming import Formed, Known, form
from consortia_node.sources.places import Cohort, state_of
from consortia_node.store.consents import ConsentStore
from consortia_node.store.database import open_database
from consortia_node.store.register import ordered_pairs

RESULTS = Path(__file__).parent / "results" / "consent.json"
ROWS = 1_000_000
RUNS = 5
NOW_MS = 1_800_000_000_000
COLUMNS = tuple(f"c{number}" for number in range(8))
NEED = Need("risk", "clients", frozenset(COLUMNS), frozenset({"bank-b"}))
IMPORT_SECONDS = 60.0
FILTER_SHARE = 0.30
NOTICE = {
    "schema_version": 1,
    "id": "risk",
    "version": 1,
    "language": "en",
    "text_sha256": "0" * 64,
    "controller": "Bank A",
    "lawful_basis": ["GDPR 6(1)(a)"],
    "purposes": [{"name": "risk", "iri": "https://w3id.org/dpv#CreditRiskAssessment", "description": "Risk"}],
    "data": [{"dataset": "clients", "columns": list(COLUMNS), "categories": ["account"]}],
    "recipients": [
        {
            "institution": "bank-b",
            "name": "Bank B",
            "contact": "privacy@bank-b.example",
            "purpose": "joint model",
            "method": "sealed sums",
            "categories": ["aggregates"],
        }
    ],
    "storage": "at the bank",
    "retention": "a year",
    "jurisdictions": ["EU"],
    "withdrawal": "at any branch",
}


@dataclass(frozen=True)
class Figure:
    """One line: what was measured, and whether it is as good as it should be."""

    what: str
    value: float
    unit: str
    goal: str = ""
    met: bool | None = None


def main(arguments: Sequence[str]) -> None:
    """Measure, print, store. ``--quick`` measures a twentieth, to see that it works."""
    rows = ROWS // 20 if "--quick" in arguments else ROWS
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        figures = measure(Path(folder), rows)
    for figure in figures:
        mark = {None: " ", True: "✓", False: "✗"}[figure.met]
        print(f"{mark} {figure.what:<58} {figure.value:>10.3f} {figure.unit:<4} {figure.goal}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")


def measure(folder: Path, rows: int) -> list[Figure]:
    """The figures of one register and one dataset of ``rows`` customers each."""
    table = consent_table(folder, rows)
    dataset = customer_table(folder, rows)
    engine, ring = open_database(folder / "node.db"), Keyring.open(folder / "keys" / "k", lambda: False)
    store = ConsentStore(engine, ring)
    store.add_notice(ConsentNotice.from_value(NOTICE, "the notice"), lambda: None)
    first, again = (timed(lambda: take(store, table)) for _ in range(2))
    cold = timed(lambda: ConsentStore(engine, ring).allowed(NEED, NOW_MS))
    figures = [
        Figure(
            "import of a Parquet table into an empty register",
            first,
            "s",
            f"< {IMPORT_SECONDS:.0f} s",
            first < IMPORT_SECONDS,
        ),
        Figure("import of the same table again", again, "s"),
        Figure("opening the register after a start", cold, "s"),
        *scans(folder, store, dataset),
    ]
    engine.dispose()
    return figures


def scans(folder: Path, store: ConsentStore, dataset: DatasetSettings) -> list[Figure]:
    """Medians of scans with and without consent, by turns."""
    bare, filtered, selecting, proving = [], [], [], []
    everybody = pa.array([], pa.string())
    for _ in range(RUNS):
        bare.append(timed(lambda: cohort_of(dataset, folder / "all", everybody)))
        start = time.perf_counter()
        allowed = store.allowed(NEED, NOW_MS)
        chosen = time.perf_counter()
        cohort = cohort_of(dataset, folder / "cohort", allowed.numbers, folder / "subjects")
        written = time.perf_counter()
        keep_pairs(folder, ordered_pairs(allowed.pairs[cohort.members]))
        proving.append(time.perf_counter() - written)
        selecting.append(chosen - start)
        filtered.append(written - start)
    without, consented = statistics.median(bare), statistics.median(filtered)
    added = consented / without - 1
    return [
        Figure("scan of the dataset without consent", without, "s"),
        Figure("scan with consent applied", consented, "s"),
        Figure("  of which: whose consent stands for this need", statistics.median(selecting), "s"),
        Figure("what applying consent adds", added, "", f"≤ {FILTER_SHARE}", added <= FILTER_SHARE),
        Figure("tree over the consents relied on, kept for proofs", statistics.median(proving), "s"),
    ]


def take(store: ConsentStore, table: Path) -> None:
    """Read the table and take it over, as the node does."""
    findings = Findings()
    rows = rows_of(read_file(table), table.name, findings)
    if store.import_rows(rows, findings, NOW_MS, lambda _: None) is None:
        raise SystemExit("the table was refused: " + "; ".join(findings.mistakes))


def consent_table(folder: Path, rows: int) -> Path:
    """Nine in ten customers have given consent, each at a moment of their own."""
    given = pa.array(np.where(np.arange(rows) % 10 == 3, "refused", "given"))
    moments = pa.array(1_700_000_000_000 + 7919 * np.arange(rows), pa.timestamp("ms", "UTC"))
    columns = {
        "subject": numbers(rows),
        "purpose": ["risk"] * rows,
        "state": given,
        "effective_at": moments,
        "valid_until": pa.nulls(rows, pa.timestamp("ms", "UTC")),
        "notice": ["risk@1"] * rows,
    }
    pq.write_table(pa.table(columns), folder / "consents.parquet")
    return folder / "consents.parquet"


def cohort_of(dataset: DatasetSettings, rows: Path, allowed: pa.Array, subjects: Path | None = None) -> Formed:
    """A copy of the rows of the allowed customers; of all without a file for the filter."""
    cohort = Cohort(dataset, COLUMNS, rows, subjects, state_of(dataset), spill=rows.parent)
    return form(cohort, allowed, Known())


def customer_table(folder: Path, rows: int) -> DatasetSettings:
    """Eight columns of numbers, in another order of customers."""
    random = np.random.default_rng(1)
    columns = {name: random.normal(size=rows) for name in COLUMNS}
    order = pa.array(random.permutation(rows))
    path = folder / "clients.parquet"
    pq.write_table(pa.table({"client": numbers(rows).take(order), **columns}), path)
    settings = "".join(f"{name} = {{ type = 'number' }}\n" for name in COLUMNS)
    file = folder / "datasets.toml"
    file.write_text(
        f"[[datasets]]\nname = 'clients'\npath = '{path.name}'\n"
        f"[datasets.columns]\nclient = {{ type = 'text', role = 'id' }}\n{settings}"
    )
    (dataset,) = load(file)
    return dataset


def numbers(rows: int) -> pa.Array:
    """Customer numbers."""
    return pa.array([f"C{number:08d}" for number in range(rows)])


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(sys.argv[1:])
