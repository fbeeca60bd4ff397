"""A consortium whose data, nodes or coordinator are not as they should be, and what every refusal must be like."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from consortia_common.documents.model import LinearModel
from consortia_common.models.scorecard import as_model
from consortia_common.workers import Refusal
from consortia_coordinator import adding
from consortia_crypto.audit.entry import Entry
from consortia_node import workers
from consortia_node.answers import Answer
from consortia_proto.v1 import control_pb2, network_pb2
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support import consortium as support
from tests.support.consortium import Consortium
from tests.support.evidence import so_far
from tests.support.specs import BANKS

SPOILT_BANK = "bank-b"
ODD_INCOME = 77777.25
"""Above what datasets.toml declares of the column, and in no other row."""
ODD_WORD = "a-word-among-numbers"
MODEL = "scorecard"


def _with(name: str, values: Callable[[list[Any]], list[Any]]) -> Callable[[pa.Table], pa.Table]:
    """A table with one column made anew."""

    def change(table: pa.Table) -> pa.Table:
        made = pa.array(values(table[name].to_pylist()))
        return table.set_column(table.column_names.index(name), name, made)

    return change


def _sixth(value: Any) -> Callable[[list[Any]], list[Any]]:
    """The column with this value in its sixth row, whose customer has consented."""
    return lambda values: [*values[:5], value, *values[6:]]


TABLES: Mapping[str, Callable[[pa.Table], pa.Table]] = {
    "with_nan": _with("income", _sixth(float("nan"))),
    "with_infinity": _with("income", _sixth(float("inf"))),
    "with_gap": _with("income", _sixth(None)),
    "with_odd_label": _with("default", _sixth(7)),
    "with_odd_income": _with("income", _sixth(ODD_INCOME)),
    "with_half_region": _with("region", lambda regions: _sixth(1.5)([float(region) for region in regions])),
    "with_words": _with("income", lambda incomes: _sixth(ODD_WORD)([str(income) for income in incomes])),
    "without_income": lambda table: table.drop_columns(["income"]),
    "with_few_rows": lambda table: table.slice(0, 15),
    "no_file": lambda table: table,
    "torn_file": lambda table: table,
    "vanishing": lambda table: table,
    "changing": lambda table: table,
    "one_label": _with("default", lambda labels: [0] * len(labels)),
}
"""Datasets that every bank offers; at SPOILT_BANK each is spoilt in its own way."""


@contextmanager
def spoilt(root: Path) -> Iterator[Consortium]:
    """Running, with the TABLES beside the good ones and a model at bank-a."""
    built = support.build(root)
    for bank in BANKS:
        _add_datasets(root / bank / "datasets.toml")
        _write_tables(root / bank / "data", spoil=bank == SPOILT_BANK)
    with support.running(built):
        listed = [
            {"name": name, "owners": list(BANKS), "columns": list(support.COLUMNS)}
            for name in ("clients", "clients_test", *TABLES)
        ]
        support.prepare(built, datasets=listed, max_jobs=1000, max_scored_rows=1_000_000)
        add_model(built, "bank-a")
        yield built


def add_model(consortium: Consortium, bank: str) -> LinearModel:
    """Keep a model of income and age at ``bank``."""
    model = LinearModel.from_numbers(["income", "age"], [-0.001, -0.05], 4.0)
    with support.control.node(consortium.node_config(bank)) as node:
        node.AddModel(control_pb2.AddModelRequest(name=MODEL, document=as_model(model).canonical()), timeout=20)
    return model


def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have steps taken in threads of this process and not in workers, which need seconds to start."""

    for module in (workers, adding):
        monkeypatch.setattr(module.Workers, "run", _without_process(module._run))


def _without_process(do: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def run(_: Any, request: Any) -> Any:
        answer = do(request)
        if isinstance(answer, Refusal):
            raise answer.error()
        return answer

    return run


def lie(monkeypatch: pytest.MonkeyPatch, institution: str, step: str, tell: Callable[[pb.Reply], pb.Reply]) -> None:
    """Have the node of ``institution`` answer ``step`` with what ``tell`` makes of its honest answer."""
    honest = Answer.reply

    def reply(self: Answer, task: pb.Task, body: list[bytes]) -> pb.Reply:
        said = honest(self, task, body)
        is_asked = task.step == step and task.task_id.endswith(f"/{institution}")
        return tell(said) if is_asked else said

    monkeypatch.setattr(Answer, "reply", reply)


def only_failure(status: network_pb2.JobStatus, institution: str, words: str) -> pb.Failure:
    """Why the job did not finish: one reason, of one institution, explained."""
    assert status.state in {"failed", "refused"}, status
    assert [refusal.institution for refusal in status.refusals] == [institution], status
    failure = status.refusals[0].failure
    assert words in failure.what, failure
    check_explained(failure.what, failure.blame, failure.remedy)
    assert failure.what in status.stage
    return failure


def check_explained(what: str, blame: str, remedy: str) -> None:
    """An error says what was refused, whose fault it is and what to do, in a person's words."""
    for text in (what, blame, remedy):
        assert 3 < len(text) < 600, text
        assert text.isprintable(), text
        assert not re.search(r"Traceback|Error\b|0x[0-9a-f]{6}|None|object at", text), text
    assert len({what, blame, remedy}) == 3


def logged(consortium: Consortium, whose: str, event: str, job_id: str = "") -> list[dict[str, Any]]:
    """The bodies of a log's entries of one kind, of one job if named; only those are parsed."""
    found = so_far(consortium.log(whose))
    bodies = [Entry.parse(data).body for data in found if event.encode() in data and job_id.encode() in data]
    return [body for body in bodies if body["type"] == event and job_id in ("", body.get("job"))]


def reasons(consortium: Consortium, whose: str, event: str, job_id: str = "") -> list[str]:
    """The reasons on a log."""
    return [body["reason"] for body in logged(consortium, whose, event, job_id)]


def check_silent(consortium: Consortium, *texts: str) -> None:
    """No customer's number and no value of a row is in ``texts`` or on anybody's log."""
    logs = [file.read_text(errors="replace") for file in consortium.root.glob("*/log/segments/*")]
    assert len(logs) == len(BANKS) + 1
    secrets = _rows(consortium)
    for text in (*logs, *texts):
        assert ODD_WORD not in text
        assert not secrets & set(_TELLING.findall(text)), text[:500]


_TELLING = re.compile(r"BANK-[A-Z]-[0-9]{5}|[0-9]{4,}\.[0-9]+")
"""What a customer's number and an income look like."""


def _rows(consortium: Consortium) -> set[str]:
    tables = [pq.read_table(consortium.root / bank / "data" / "clients.parquet") for bank in BANKS]
    columns = [column for table in tables for column in (table["client"], table["income"])]
    return {str(ODD_INCOME), *(str(value) for column in columns for value in column.to_pylist())}


def _add_datasets(file: Path) -> None:
    """Offer the TABLES as the first dataset is offered."""
    text = file.read_text()
    block = "[[datasets]]" + text.split("[[datasets]]")[-1].replace("clients_test", "{name}")
    file.write_text(text + "\n" + "\n".join(block.replace("{name}", name) for name in TABLES))


def _write_tables(folder: Path, *, spoil: bool) -> None:
    clients = pq.read_table(folder / "clients.parquet")
    for name, change in TABLES.items():
        pq.write_table(change(clients) if spoil or name == "one_label" else clients, folder / f"{name}.parquet")
    if spoil:
        (folder / "no_file.parquet").unlink()
        torn = folder / "torn_file.parquet"
        torn.write_bytes(torn.read_bytes()[:-1000])
