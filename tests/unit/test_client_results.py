"""Results in Python: flat tables of equal rows, frames, charts, and pages in which nothing steers a browser."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from consortia_client import charts, page_parts
from consortia_client import consortium as api
from consortia_client.consortium import Consortium
from consortia_client.curves import Point, points
from consortia_client.errors import ClientError, JobEndedError, MissingExtraError, ResultError
from consortia_client.offering import Offering
from consortia_client.results import Result
from consortia_client.session import JobResult
from consortia_client.tables import Table, tables_of
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.receipt import Receipt
from consortia_common.errors import DocumentError
from consortia_proto.v1 import exchange_pb2
from consortia_proto.v1 import network_pb2 as pb
from tests.support.cli import as_json, consortia, use_session
from tests.support.documents import agreement as make_agreement
from tests.support.specs import BANKS, PURPOSE

JOB = "job-0123456789abcdef"
STATISTICS: dict[str, Any] = {
    "kind": "statistics",
    "overall": {"count": 30, "label_rate": 0.5, "columns": {"age": {"count": 29, "missing": 1, "mean": 40.5}}},
    "by": ["region"],
    "groups": [
        {
            "group": {"region": "<b>"},
            "count": 10,
            "label_rate": None,
            "columns": {"age": {"count": 10, "mean": 41}},
        },
        {
            "group": {"region": "=1"},
            "count": 20,
            "label_rate": 0.4,
            "columns": {"age": {"count": 19, "mean": 40.2}},
        },
    ],
    "withheld": [{"region": "small"}],
    "histograms": {
        "age": {
            "bins": [
                {"low": None, "high": 18, "count": 1},
                {"low": 18, "high": 50, "count": 20},
                {"low": 50, "high": 90.5, "count": 9},
            ],
            "resolution": 2,
        }
    },
    "quantiles": {"age": [{"at": 0.5, "value": 39.0, "error": 1.0}]},
    "correlations": {
        "columns": ["age", "income"],
        "count": 29,
        "covariance": [[4.0, 1.0], [1.0, 9.0]],
        "correlation": [[1.0, None], [None, 1.0]],
    },
    "crosstabs": [
        {
            "columns": ["region", "product"],
            "cells": [{"region": 1, "product": "x", "count": 7}],
            "chi2": 1.5,
            "p": 0.2,
        }
    ],
    "information": {
        "age": {"iv": 0.3, "ks": 0.2, "bins": [{"bin": "18 to 50", "zeros": 3, "ones": 4, "woe": 0.1}]}
    },
    "compare": {"age": [{"category": "2026q1", "psi": 0.01, "ks": 0.02}]},
}
TRAIN: dict[str, Any] = {
    "kind": "train",
    "model": {"intercept": -1.5, "features": ["age", "income"]},
    "rounds": [{"round": 1, "loss": 0.5}, {"round": 2, "loss": 0.25}],
}


def question(kind: str = "train", **parameters: Any) -> JobSpec:
    value = {
        "dataset": "clients",
        "features": ["age"],
        "label": "default",
        "model": {"type": "logistic_regression"},
    } | parameters
    return JobSpec.from_value(
        {
            "version": 1,
            "name": "a-job",
            "kind": kind,
            "agreement": "credit-risk@1",
            "purpose": PURPOSE,
            "parties": list(BANKS),
            "parameters": value,
        },
        "the question",
    )


def receipt(bank: str) -> Receipt:
    used = {"dataset": "clients", "rows_used": 1000, "rows_left_out": 5, "consent_root": "c" * 64}
    value = {
        "network": "lab",
        "institution": bank,
        "job": JOB,
        "kind": "train",
        "spec": "a" * 64,
        "agreement": make_agreement().reference,
        "parties": list(BANKS),
        "sums": None,
        "cohorts": [used],
        "result": None,
        "took": {
            "bytes_up": 30_000,
            "bytes_down": 33_000,
            "elapsed_ms": 1500,
            "memory_mib": 180,
            "planned_ms": 1400,
            "planned_mib": 200,
        },
        "closed_ms": 1,
    }
    return Receipt.from_value(value, "the receipt")


def made(document: dict[str, Any] | None = None, banks: tuple[str, ...] = BANKS) -> Result:
    opened = JobResult(JOB, question(), document, tuple(receipt(bank) for bank in banks))
    return Result(opened, make_agreement())


@pytest.mark.parametrize("document", [STATISTICS, TRAIN, {"kind": "odd", "x": [], "y": {"z": {"w": None}}}])
def test_every_table_has_rows_of_plain_values(document: dict[str, Any]) -> None:
    for name, table in tables_of(document).items():
        assert table.name == name
        assert table.rows
        assert all(
            value is None or isinstance(value, int | float | str) for row in table.rows for value in row.values()
        )
        assert {len(values) for values in table.as_columns().values()} == {len(table.rows)}


def test_statistics_are_laid_out_by_what_was_asked() -> None:
    tables = tables_of(STATISTICS)
    assert tables["overall"].rows == ({"count": 30, "label_rate": 0.5},)
    assert tables["groups"].rows[1] == {"region": "=1", "count": 20, "label_rate": 0.4}
    assert tables["columns"].rows[0] == {"column": "age", "region": None, "count": 29, "missing": 1, "mean": 40.5}
    assert tables["columns"].rows[1]["region"] == "<b>"
    assert tables["histograms"].rows[0] == {"column": "age", "low": None, "high": 18, "count": 1}
    assert tables["correlations"].rows[1] == {
        "first": "age", "second": "income", "covariance": 1.0, "correlation": None
    }  # fmt: skip
    assert tables["crosstab region product"].rows == ({"region": 1, "product": "x", "count": 7},)
    assert tables["association"].rows[0]["chi2"] == 1.5
    assert tables["evidence"].rows[0]["woe"] == 0.1
    assert tables["compare"].rows == ({"column": "age", "category": "2026q1", "psi": 0.01, "ks": 0.02},)
    assert tables["withheld"].rows == ({"region": "small"},)


def test_what_no_kind_foresaw_is_laid_out_by_its_shape() -> None:
    tables = tables_of(TRAIN)
    assert tables["rounds"].rows[1] == {"round": 2, "loss": 0.25}
    assert {"name": "model.intercept", "value": -1.5} in tables["result"].rows
    assert tables["model.features"].rows[0] == {"place": 0, "value": "age"}


def test_columns_of_several_types_become_one() -> None:
    table = Table("t", ({"a": 1, "b": "x"}, {"a": 2.5, "b": 3, "c": None}))
    assert table.columns == ("a", "b", "c")
    assert table.as_columns() == {"a": [1.0, 2.5], "b": ["x", "3"], "c": [None, None]}


def test_frames_have_the_tables_rows() -> None:
    result = made(STATISTICS)
    frame = result.to_pandas("columns")
    assert list(frame.columns) == ["column", "region", "count", "missing", "mean"]
    assert frame["mean"].tolist() == [40.5, 41.0, 40.2]
    arrow = result.to_arrow("histograms")
    assert arrow.column("low").to_pylist() == [None, 18, 50]
    assert result.to_pandas().shape == (1, 2)
    with pytest.raises(ResultError, match="no table nothing"):
        result.to_pandas("nothing")
    with pytest.raises(ResultError, match="has no table"):
        made(None).to_arrow()


def test_a_result_says_who_took_part_on_what_basis_and_how_exactly() -> None:
    facts = made(STATISTICS).facts
    assert facts["participants"] == "bank-a (1,000 rows), bank-b (1,000 rows), bank-c (1,000 rows)"
    assert facts["lawful basis"] == "consent"
    assert facts["noise"].startswith("none")
    assert facts["bytes"].startswith("90,000 up and 99,000 down before receipts; planned ")
    noisy = made(STATISTICS | {"noise": {"epsilon": 1.0, "sigma": 4.2}})
    assert noisy.facts["noise"] == "epsilon 1.0, sigma 4.2"
    assert made(STATISTICS, banks=BANKS[:2]).facts["dropped out"] == "bank-c"


def test_a_page_escapes_what_came_from_elsewhere() -> None:
    page = made(STATISTICS)._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "40.5" in page
    assert "columns" in repr(made(STATISTICS))
    long = Table("t", tuple({"a": place} for place in range(60)))
    assert "10 more rows" in page_parts.table("t", long.columns, long.cells())


def test_charts_are_of_what_is_told() -> None:
    chart = made(STATISTICS).histogram("age").to_dict()
    assert chart["title"] == "age: 1 rows beyond the range"
    assert [row["count"] for row in chart["data"]["values"]] == [20, 9]
    assert chart["data"]["values"][0]["floor"] == 0
    merged = Table(
        "histograms", tuple({"column": "x", "low": low, "high": high, "count": 8} for low, high in ((0, 1), (1, 5)))
    )
    assert [row["height"] for row in charts.histogram(merged, "x").to_dict()["data"]["values"]] == [8, 2]
    several = made(STATISTICS).comparison("mean", "region", "columns").to_dict()
    assert several["encoding"]["xOffset"]["field"] == "_part"
    bars = made(STATISTICS).comparison("label_rate", "region", "groups").to_dict()
    assert [row["region"] for row in bars["data"]["values"]] == ["=1"]
    with pytest.raises(ResultError, match="no column income"):
        made(STATISTICS).histogram("income")
    with pytest.raises(ResultError, match="no field sex"):
        made(STATISTICS).comparison("count", "sex", "groups")


@pytest.mark.parametrize(
    ("library", "use"),
    [
        ("pandas", lambda result: result.to_pandas()),
        ("pyarrow", lambda result: result.to_arrow()),
        ("altair", lambda result: result.histogram("age")),
    ],
)
def test_a_library_that_is_not_there_is_named(library: str, use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=f"needs {library}") as missing:
        use(made(STATISTICS))
    assert "pip install" in missing.value.remedy


class StubSession:
    """Stands for the network: one agreement, and a job that ends in ``state``."""

    def __init__(self, state: str = "finished") -> None:
        failure = exchange_pb2.Failure(
            code="refused", what="not allowed", blame="the job", remedy="ask the parties", clause="purposes"
        )
        refusals = [pb.Refusal(institution="bank-b", failure=failure)] if state == "refused" else []
        self.status = pb.JobStatus(job_id=JOB, name="a-job", kind="train", state=state, refusals=refusals)
        self.asked: list[JobSpec] = []
        self.closed = False

    def agreements(self) -> Any:
        old = make_agreement()
        return [old, make_agreement(version=2, parent=old.hash())]

    def offering(self, agreement: Any, now_ms: int) -> Offering:
        return Offering.of(agreement)

    def submit(self, asked: JobSpec, now_ms: int) -> pb.JobStatus:
        self.asked.append(asked)
        return self.status

    def plan(self, asked: JobSpec, now_ms: int) -> Any:
        return ("planned", asked, now_ms)

    def job(self, job_id: str) -> pb.JobStatus:
        return self.status

    def jobs(self) -> list[pb.JobStatus]:
        return [self.status]

    def watch(self, job_id: str) -> Iterator[pb.JobStatus]:
        yield self.status

    def curve(self, status: pb.JobStatus) -> tuple[Point, ...]:
        return (
            points({"curve": [{"round": 0, "loss": 0.7, "validation_loss": None, "validation_auc": None}]})
            if status
            else ()
        )

    def cancel(self, job_id: str) -> pb.JobStatus:
        return pb.JobStatus(job_id=job_id, state="cancelled")

    def result(self, job_id: str) -> JobResult:
        return JobResult(job_id, self.asked[0], TRAIN, tuple(receipt(bank) for bank in BANKS))

    def close(self) -> None:
        self.closed = True


def connected(session: StubSession) -> Consortium:
    return Consortium(session, lambda: 7)  # type: ignore[arg-type]


def test_a_question_is_filled_in_from_the_agreement_asked_and_answered() -> None:
    session = StubSession()
    with connected(session) as consortium:
        answer = consortium.train(
            dataset="clients",
            features=("income",),
            label="default",
            model={"type": "logistic_regression", "l2": 0.1},
            progress=False,
        )
        assert consortium.plan(session.asked[0]) == ("planned", session.asked[0], 7)
    assert session.closed
    (asked,) = session.asked
    assert (asked.agreement, asked.purpose, asked.name) == ("credit-risk@2", PURPOSE, "train-7")
    assert asked.parties == BANKS
    assert asked.parameters.model_dump(mode="json")["model"]["l2"] == "0.1"
    assert answer.facts["lawful basis"] == "consent"
    assert answer.table("rounds").rows[0]["loss"] == 0.5


def test_what_can_not_be_asked_is_said_before_anybody_is_asked() -> None:
    session = StubSession()
    consortium = connected(session)
    with pytest.raises(DocumentError, match=r"parameters.colour: there is no such field"):
        consortium.spec(
            "train",
            dataset="clients",
            features=["income"],
            label="default",
            model={"type": "logistic_regression"},
            colour="red",
        )
    with pytest.raises(ClientError, match="no agreements"):
        consortium.statistics(dataset="clients")
    assert session.asked == []


def test_a_job_is_watched_and_cancelled() -> None:
    consortium = connected(StubSession())
    question = {"dataset": "clients", "features": ["income"], "label": "default"}
    job = consortium.submit(consortium.spec("train", model={"type": "logistic_regression"}, **question))
    (seen,) = job.watch()
    assert (seen.status.state, [point.loss for point in seen.curve]) == ("finished", [0.7])
    job.cancel()
    assert job.status.state == "cancelled"


def test_a_refusal_says_who_refused_and_who_can_grant_it() -> None:
    consortium = connected(StubSession("refused"))
    with pytest.raises(JobEndedError) as refused:
        consortium.train(
            dataset="clients",
            features=["income"],
            label="default",
            model={"type": "logistic_regression"},
            progress=False,
        )
    assert refused.value.what == f"{JOB} was refused: bank-b: not allowed [purposes]"
    assert refused.value.remedy == "ask the parties"
    assert api.ended(pb.JobStatus(job_id=JOB, state="failed", stage="late")).what == f"{JOB} was failed: late"


def test_catalogue_and_jobs_show_themselves() -> None:
    consortium = connected(StubSession())
    catalogue = consortium.catalogue
    assert [offering.agreement for offering in catalogue] == ["credit-risk@1", "credit-risk@2"]
    assert catalogue.to_pandas()["column"].tolist() == ["income", "income"]
    assert catalogue.to_arrow().num_rows == 2
    assert "bank-a, bank-b" in catalogue._repr_html_()
    jobs = consortium.jobs
    assert list(jobs) == [JOB]
    assert repr(jobs[JOB]) == f"<Job {JOB} (a-job): finished>"
    assert JOB in jobs._repr_html_()


def test_the_command_line_gives_csv_and_single_tables(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = JobResult(JOB, question(), STATISTICS, (receipt("bank-a"),))
    status = pb.JobStatus(job_id=JOB, name="a-job", state="finished", stage="=done")
    session = SimpleNamespace(job=lambda _: status, result=lambda _: opened, jobs=lambda: [status])
    use_session(monkeypatch, session)
    options = (JOB, "--profile", tmp_path)
    lines = consortia("job", "result", *options, "--csv", "--table", "groups").stdout.splitlines()
    assert lines == ["region,count,label_rate", "<b>,10,", "'=1,20,0.4"]
    assert consortia("job", "result", *options, "--csv").stdout.splitlines()[0] == "count,label_rate"
    shown = consortia("job", "result", *options, "--table", "quantiles").stdout
    assert "0.5" in shown
    assert "histograms" not in shown
    assert consortia("job", "result", *options, "--table", "none").exit_code == 1
    assert as_json(consortia("job", "result", *options, "--json"))["result"] == STATISTICS
    listed = consortia("job", "list", "--profile", tmp_path, "--csv").stdout.splitlines()
    assert listed == ["job,name,kind,state,stage", f"{JOB},a-job,,finished,'=done"]
    refused = SimpleNamespace(job=lambda _: pb.JobStatus(job_id=JOB, state="failed", stage="late"))
    use_session(monkeypatch, refused)
    assert consortia("job", "result", *options, "--csv").exit_code == 1


def test_every_parameter_may_be_a_plain_python_value() -> None:
    assert api._written({"a": 0.25, "b": (1, 2.5), "c": [{"d": 1e-9}], "e": True, "f": "x"}) == {
        "a": "0.25", "b": [1, "2.5"], "c": [{"d": "1e-09"}], "e": True, "f": "x"
    }  # fmt: skip
