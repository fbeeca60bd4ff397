"""The network in Python and on the command line: questions filled in, jobs watched, refusals told, CSV."""

from types import SimpleNamespace
from typing import Any

import pytest

from consortia_client import consortium as api
from consortia_client.believed import JobResult
from consortia_client.consortium import Consortium
from consortia_client.errors import ClientError, JobEndedError
from consortia_common.errors import DocumentError
from consortia_proto.v1 import network_pb2 as pb
from tests.support.cli import as_json, consortia, use_session
from tests.support.results import JOB, STATISTICS, StubSession, question, receipt
from tests.support.specs import BANKS, PURPOSE


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
