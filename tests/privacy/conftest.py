"""One consortium that did all kinds of jobs while everything that crossed the coordinator was recorded."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from consortia_common import logs
from consortia_common.database import reading
from consortia_crypto.he.context import PRIVATE, fields_of
from consortia_crypto.score import data_owner
from consortia_crypto.sum import epoch, opening
from consortia_crypto.sum.epoch import EpochSecrets
from consortia_crypto.sum.masking import MemberGroup
from consortia_crypto.sum.vector import Vector
from consortia_node import workers
from consortia_node.learning import fit_network, preparing
from consortia_node.learning.preparing import Prepared
from consortia_node.step import StepRequest
from consortia_node.store.subjects import SubjectRow, SubjectStore, opened
from tests.support import consortium as support
from tests.support.consortium import Consortium
from tests.support.recorder import Needles, Recorder, windows
from tests.support.specs import BANKS, spec
from tests.support.spoilt import add_model

PLANTED = 12
"""Rows of each table, at its end, whose values occur nowhere else."""
INCOME, AGE, REGION, NOTE = 31337.77, 61.41421356, 987654321, 0.57721566490153
JOBS = ("statistics", "train", "score")
_SIZES: Mapping[str, dict[str, Any]] = {"score": {"max_rows": 500}}
LATTICE = "statistics"
"""The kind whose sums are added under the engine "lattice" too."""


@dataclass
class Observed:
    """What was seen, and what must not be in it."""

    consortium: Consortium
    recorder: Recorder
    process_log: Path
    jobs: dict[str, str] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    during: bytes = b""
    """The coordinator's folder in the middle of training."""
    data: Needles = field(default_factory=Needles)
    """Customers' numbers and rows."""
    pseudonyms: Needles = field(default_factory=Needles)
    sealed: Needles = field(default_factory=Needles)
    """What an institution alone, or the institutions together, may know: contributions, sums, models, results."""
    keys: Needles = field(default_factory=Needles)
    enveloped: Needles = field(default_factory=Needles)
    """Ciphertext that goes in envelopes only."""

    def coordinator_folder(self) -> bytes:
        """Every file that the coordinator keeps: database, its journal, log, settings, keys."""
        return folder(self.consortium.root / "coordinator")


def folder(path: Path, *, without: tuple[str, ...] = ()) -> bytes:
    """All files under ``path``, but for those in the folders ``without``."""
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    return b"\n".join(file.read_bytes() for file in files if file.relative_to(path).parts[0] not in without)


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """Statistics, a withdrawal, training and scoring, all finished; still running."""
    root = tmp_path_factory.mktemp("observed")
    seen = Observed(support.build(root), Recorder(), root / "process.log")
    for bank in BANKS:
        _plant(root / bank / "data", bank)
        described = root / bank / "datasets.toml"
        described.write_text(described.read_text().replace('type = "integer"', 'type = "number"'))
        _look_for_rows(seen.data, root / bank / "data")
    logs.configure("test", seen.process_log)
    with (
        pytest.MonkeyPatch.context() as patched,
        support.running(seen.consortium, interceptors=[seen.recorder]),
    ):
        _spy(patched, seen)
        support.prepare(seen.consortium, min_cell=1)  # so that one withdrawal does not forbid the next job
        add_model(seen.consortium, "bank-b")
        for kind in JOBS:
            _run(seen, kind)
        _look_for_pseudonyms(seen)
        yield seen
    logs.configure("consortia")


def _run(seen: Observed, kind: str) -> None:
    if kind == "train":
        seen.consortium.withdraw("bank-a", "CANARY-BANK-A-001")
    status = seen.consortium.run(
        spec(kind, engine="lattice" if kind == LATTICE else "masked", **_SIZES.get(kind, {}))
    )
    assert status.state == "finished", status
    seen.jobs[kind] = status.job_id
    seen.results[kind] = seen.consortium.result(status.job_id)
    for number in _numbers(seen.results[kind]):
        seen.sealed.text("result", repr(number))
        seen.sealed.vector("result", np.array([number]))


def _plant(path: Path, bank: str) -> None:
    """The last rows of both tables and of the consents become those of made-up customers."""
    for name in ("clients", "clients_test"):
        table = pq.read_table(path / f"{name}.parquet")
        kept = table.num_rows - PLANTED
        customers = [f"CANARY-{bank.upper()}-{number:03d}" for number in range(PLANTED)]
        values = {"client": customers, "income": INCOME, "age": AGE, "region": REGION, support.SECRET_COLUMN: NOTE}
        for column, value in values.items():
            planted = value if isinstance(value, list) else [value] * PLANTED
            whole = pa.array([*table[column].to_pylist()[:kept], *planted])
            table = table.set_column(table.column_names.index(column), column, whole)
        pq.write_table(table, path / f"{name}.parquet")
    consents = pq.read_table(path / "consents.parquet")
    more = consents.slice(0, 1).to_pylist() * PLANTED
    given = [row | {"subject": customer, "state": "given"} for row, customer in zip(more, customers, strict=True)]
    pq.write_table(
        pa.concat_tables([consents, pa.Table.from_pylist(given, consents.schema)]), path / "consents.parquet"
    )


def _look_for_rows(needles: Needles, path: Path) -> None:
    """The planted values in every form; of all other rows their customers' numbers and distinctive values."""
    needles.text("customer", "CANARY", "BANK-A-0", "BANK-B-0", "BANK-C-0")
    for what, value in (("income", INCOME), ("age", AGE), ("region", REGION), ("note", NOTE)):
        needles.number(what, value)
    needles.raw("row", np.array([INCOME, AGE], "<f4").tobytes())
    for name in ("clients", "clients_test"):
        table = pq.read_table(path / f"{name}.parquet")
        for column in ("income", "age", support.SECRET_COLUMN):
            needles.vector(f"{column} of a row", table[column].to_numpy())


def _look_for_pseudonyms(seen: Observed) -> None:
    for bank in BANKS:
        tools = seen.consortium.running[1 + BANKS.index(bank)].tools
        with reading(tools.engine) as connection:
            rows = [row for part in SubjectStore(connection, tools.keys).all_rows() for row in part]
        subjects = [opened(tools.keys, SubjectRow(*row)) for row in rows]
        keys = [subject.key for subject in subjects]
        hashes = [
            held.commitment for subject in subjects for versions in subject.consents.values() for held in versions
        ]
        names = [subject.pseudonym for subject in subjects]
        planted = [subject.pseudonym for subject in subjects if "CANARY" in subject.number]
        seen.pseudonyms.text("pseudonym", *names[:: len(names) // 50], *planted)
        for raw in (*keys, *hashes, *(bytes.fromhex(name) for name in names)):
            seen.pseudonyms.raw("pseudonym or consent record", raw)


def _spy(patched: pytest.MonkeyPatch, seen: Observed) -> None:
    """Take every step in this process, and note each plaintext and each key that comes by."""

    def run(_: workers.Workers, request: Any) -> Any:
        if request.step == "evaluate" and not seen.during:
            seen.during = seen.coordinator_folder()
        answer = workers._run(request)
        assert not isinstance(answer, workers._Refusal), answer
        if not isinstance(request, StepRequest):
            return answer
        for name, value in (dict(request.values) | dict(answer.values)).items():
            if name == "network":
                seen.sealed.vector(name, np.frombuffer(value, "<f8"))
            if name == "score.secret":
                for piece in windows(fields_of(value, "a test")[PRIVATE], 200):
                    seen.keys.raw(name, piece)
        return answer

    patched.setattr(workers.Workers, "run", run)
    for holder, name, note in (
        (epoch, "confirm", lambda _, made: _note_keys(seen, made)),
        (opening, "seal", lambda given, _: _note_vector(seen, "contribution", given[1], given[2])),
        (opening, "open_total", lambda given, _: _note_vector(seen, "sum", given[0], given[2])),
        (fit_network, "train", lambda given, made: _note_update(seen, given[1], made)),
        (preparing, "fitted", lambda _, made: _note_moments(seen, made)),
        (data_owner, "encrypt", lambda given, made: _note_features(seen, given[1], made)),
        (data_owner, "decrypt", lambda _, made: seen.sealed.vector("score", made)),
    ):
        patched.setattr(holder, name, _noting(getattr(holder, name), note))


def _note_keys(seen: Observed, keys: EpochSecrets) -> None:
    """All that masks, tags and shares of a job's sums are derived from, and what signs them."""
    for secret in (keys.group_key, keys.round_seed, *keys.pair_keys.values()):
        seen.keys.raw("key of sums", secret)
    if keys.attachment:
        for piece in windows(fields_of(keys.attachment, "a test")[PRIVATE], 200):
            seen.keys.raw("shared key", piece)


def _note_moments(seen: Observed, prepared: Prepared) -> None:
    moments = prepared.means.values()
    seen.sealed.vector("means", np.array([moment.mean for moment in moments]))
    seen.sealed.vector("deviations", np.array([moment.deviation for moment in moments]))


def _note_vector(seen: Observed, what: str, group: MemberGroup, vector: Vector) -> None:
    octets = vector.read(0, vector.size)
    seen.sealed.vector(what, group.values.integers(octets).astype("<i8"))
    seen.sealed.vector(what, octets[: len(octets) // 8 * 8].view("<i8"))  # narrow values, two by two


def _noting(honest: Callable[..., Any], note: Callable[[Any, Any], None]) -> Callable[..., Any]:
    def call(*given: Any) -> Any:
        made = honest(*given)
        note(given, made)
        return made

    return call


def _note_update(seen: Observed, before: Any, after: Any) -> None:
    seen.sealed.vector("local model", after)
    seen.sealed.vector("update", after - before)


def _note_features(seen: Observed, features: Any, made: list[bytes]) -> None:
    seen.data.vector("scaled feature", features)
    for block in made:
        for piece in windows(block[1000:]):
            seen.enveloped.raw("encrypted feature", piece)


def _numbers(value: Any) -> Iterator[float]:
    """The distinctive numbers in a result."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _numbers(item)
    if isinstance(value, float):
        yield value
    if isinstance(value, str) and "." in value and value.replace(".", "").strip("-").isdigit():
        yield float(value)
