"""Three banks with their rows, everybody in this process; the work on rows is done by workers, as always."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.train import data
from benchmarks.train.kinds import PLAIN
from consortia_client import control
from consortia_common.documents.jobspec import JobSpec
from consortia_coordinator.jobrun import JobRun
from consortia_proto.v1 import control_pb2
from tests.support import consortium as support
from tests.support.consent_notices import make_notice
from tests.support.consortium import Consortium
from tests.support.specs import BANKS, PURPOSE

DATASET, TEST = "rows", "test_rows"
_SECONDS = 1800.0


@dataclass(frozen=True)
class Size:
    """Of every bank's table: rows, of so many customers, and features; and rows of the test part."""

    rows: int
    features: int
    customers: int
    test_rows: int


@dataclass(frozen=True)
class Done:
    """A job: seconds from its submission to its end, seconds of a round in its middle, and its result."""

    seconds: float
    round: float
    rounds: int
    result: Mapping[str, Any]


@contextmanager
def consortium(root: Path, size: Size) -> Iterator[Consortium]:
    """Everybody running and ready for jobs."""
    built = support.build(root)
    for place, bank in enumerate(BANKS):
        print(f"· {size.rows:,} rows × {size.features} columns for {bank}", flush=True)
        _write(root / bank, size, place)
    columns = [*data.names(size.features), data.LABEL]
    notice = make_notice(PURPOSE, {DATASET: columns, TEST: columns}, BANKS).canonical()
    with support.running(built):
        for bank in BANKS:
            with control.node(built.node_config(bank)) as node:
                node.AddConsentNotice(control_pb2.AddConsentNoticeRequest(document=notice), timeout=60)
                node.ImportConsent(support.consent_table(root / bank), timeout=_SECONDS)
        _agree(built, columns)
        yield built


def train(built: Consortium, asked: JobSpec) -> Done:
    """Run the job. A round lasts from when the coordinator begins it to when it begins the next; the first, in
    which rows are read, is left out."""
    stamps: list[float] = []
    progress = JobRun.progress

    def recorded(run: JobRun, stage: str, done: int, total: int) -> None:
        stamps.extend([time.perf_counter()] if stage.startswith("round ") else [])
        progress(run, stage, done, total)

    with patch.object(JobRun, "progress", recorded):
        began = time.perf_counter()
        job_id = built.submit(asked)
        status = built.finish(job_id, _SECONDS)
        seconds = time.perf_counter() - began
    if status.state != "finished":
        raise SystemExit(f"the job was {status.state}: {status.stage} {status}")
    rounds = (stamps[-1] - stamps[1]) / (len(stamps) - 2)
    # Without keys of its own a job has no salt that all know, so a plain one's parties sign for different results.
    return Done(seconds, rounds, len(stamps), built.result(job_id) if asked.kind == "train" else {})


def spec(kind: str, size: Size, model: Mapping[str, Any]) -> JobSpec:
    """A job that fits ``model`` to every bank's rows and tests it."""
    value = {
        "version": 1,
        "name": "benchmark",
        "kind": kind,
        "agreement": "credit-risk@1",
        "purpose": PURPOSE,
        "parties": list(BANKS),
        "parameters": {
            "dataset": DATASET,
            "test_dataset": TEST,
            "features": data.names(size.features),
            "label": data.LABEL,
            "max_rows": 4 * size.rows,  # room for all rows in one place
            "model": dict(model),
        },
    }
    return JobSpec.from_value(value, "the benchmark's spec")


def tables(size: Size, place: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of one bank: those to learn from, those to test on."""
    rows = data.made(size.rows, size.features, 2 * place)
    return rows, data.made(size.test_rows, size.features, 2 * place + 1)


def _write(folder: Path, size: Size, place: int) -> None:
    customers = [f"C{number:08d}" for number in range(size.customers)]
    for name, columns in zip((DATASET, TEST), tables(size, place), strict=True):
        owners = np.arange(len(columns[data.LABEL])) % size.customers
        who = pa.DictionaryArray.from_arrays(owners, customers).cast(pa.string())
        pq.write_table(pa.table({"client": who, **columns}), folder / "data" / f"{name}.parquet")
    declared = "\n".join(f'{name} = {{ type = "number" }}' for name in data.names(size.features))
    label = f'client = {{ type = "text", role = "id" }}\n{data.LABEL} = {{ type = "boolean", role = "label" }}'
    (folder / "datasets.toml").write_text(
        "".join(
            f'[[datasets]]\nname = "{name}"\npath = "data/{name}.parquet"\n'
            f"[datasets.columns]\n{label}\n{declared}\n"
            for name in (DATASET, TEST)
        )
    )
    consents = {
        "subject": customers,
        "purpose": [PURPOSE] * size.customers,
        "state": ["given"] * size.customers,
        "effective_at": ["2026-01-01T00:00:00Z"] * size.customers,
        "valid_until": pa.nulls(size.customers, pa.string()),
        "notice": ["notice@1"] * size.customers,
    }
    pq.write_table(pa.table(consents), folder / "data" / "consents.parquet")


def _agree(built: Consortium, columns: list[str]) -> None:
    asked = [{"name": name, "owners": list(BANKS), "columns": columns} for name in (DATASET, TEST)]
    kinds = [{"kind": kind, "recipients": ["analyst"]} for kind in ("train", PLAIN)]
    document = support.make_agreement(built, datasets=asked, job_kinds=kinds).canonical()
    with control.node(built.node_config(BANKS[0])) as node:
        node.ProposeAgreement(control_pb2.ProposeAgreementRequest(document=document), timeout=60)
    for bank in BANKS[1:]:
        support.wait_for(built, bank, lambda view: view is not None)
        with control.node(built.node_config(bank)) as node:
            node.SignAgreement(control_pb2.SignAgreementRequest(reference="credit-risk@1"), timeout=60)
    for bank in BANKS:
        support.wait_for(built, bank, lambda view: view is not None and view.state == "active")
