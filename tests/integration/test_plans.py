"""Plans in a running consortium: every gate is asked, nothing is read, and a job takes what its plan said."""

from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from consortia_client import profile
from consortia_client.plan import planned_bytes
from consortia_client.session import Session
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.plan import PlanQuestion
from consortia_common.errors import NotPermittedError
from consortia_common.traffic import Traffic, traffic
from consortia_crypto.audit.entry import Entry
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc
from tests.support import evidence
from tests.support.cli import as_json, consortia
from tests.support.consortium import SECRET_COLUMN, Consortium
from tests.support.specs import BANKS, averaging, spec


def entries(consortium: Consortium, whose: str, event: str) -> list[Entry]:
    return [entry for entry in evidence.entries(consortium, whose) if entry.type == event]


def planned(consortium: Consortium, asked: JobSpec) -> Any:
    with consortium.analyst() as session:
        return session.plan(asked, 5)


def test_a_plan_asks_every_gate_reads_nothing_and_is_on_the_logs(consortium: Consortium) -> None:
    before = {bank: len(entries(consortium, bank, "access.granted")) for bank in BANKS}
    found = planned(consortium, spec("train"))
    assert found.accepted
    for party in found.parties:
        assert party.answer.reads[0].customers.low in {256, 512}
        assert party.answer.budgets[0].name == "max_jobs"
    for whose in (*BANKS, "coordinator"):
        assert entries(consortium, whose, "plan.asked")[-1].body["detail"]["kind"] == "train"
    for bank in BANKS:
        assert entries(consortium, bank, "plan.answered")[-1].body["decision"] == "accept"
        assert len(entries(consortium, bank, "access.granted")) == before[bank]


def test_a_refusal_names_the_clause_and_tells_no_numbers(consortium: Consortium) -> None:
    found = planned(consortium, spec("train", features=["income", SECRET_COLUMN]))
    assert not found.accepted
    for party in found.parties:
        assert party.verdict == "refuses by datasets.columns"
        assert party.answer.remedy
        assert (party.answer.reads, party.answer.budgets) == ((), ())


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["masked", "lattice"])
def test_a_job_takes_the_bytes_that_its_plan_said(consortium: Consortium, engine: str) -> None:
    asked = spec("train", model=averaging(rounds=2), engine=engine)
    said = planned(consortium, asked).bytes
    fact = consortium.run(asked)
    assert fact.state == "finished", fact.stage
    assert abs(fact.bytes_up / said.up - 1) < 0.2
    assert abs(fact.bytes_down / said.down - 1) < 0.2
    assert said == sum(traffic(asked, {}).values(), Traffic(0, 0))


DETAILED: dict[str, Any] = {
    "histograms": ["income", "age"],
    "quantiles": {"columns": ["income"], "rounds": 1},
    "ranges": {"income": [0, 50000], "age": [0, 128]},
    "bins": 16,
}
"""Divided as in the other tests on this consortium, whose nodes remember."""


@pytest.mark.parametrize("asked", [spec("statistics"), spec("statistics", **DETAILED)], ids=["plain", "detailed"])
def test_receipts_hold_what_was_taken_which_is_what_was_planned(consortium: Consortium, asked: JobSpec) -> None:
    """Also where most bins and cells are too small to be shown: the result is sealed at its greatest length."""
    status = consortium.run(asked)
    assert status.state == "finished", status
    with consortium.analyst() as session:
        opened = session.result(status.job_id)
    said = planned_bytes(asked, opened.receipts)
    for receipt in opened.receipts:
        took, plan = receipt.took, said[receipt.institution]
        assert abs(took.bytes_up / plan.up - 1) < 0.2, receipt.institution
        assert abs(took.bytes_down / plan.down - 1) < 0.2, receipt.institution
        assert 50 < took.memory_mib < 1024
        assert took.planned_mib / 2 < took.memory_mib < took.planned_mib * 2  # forked workers share their libraries
        assert took.elapsed_ms > 0
        assert took.planned_ms > 0
    for direction in ("up", "down"):
        counted = sum(getattr(receipt.took, f"bytes_{direction}") for receipt in opened.receipts)
        assert 0.6 < counted / getattr(status, f"bytes_{direction}") <= 1  # the rest: receipts and signatures


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["statistics", "train"])
def test_what_jobs_took_makes_the_next_plan_of_their_kind_true(consortium: Consortium, kind: str) -> None:
    """Within five times on a machine that does other work as well; docs/job-specs.md says what a quiet one does."""
    assert consortium.run(spec(kind)).state == "finished"
    said = planned(consortium, spec(kind))
    status = consortium.run(spec(kind))
    with consortium.analyst() as session:
        receipts = session.result(status.job_id).receipts
    assert all(party.answer.past_jobs >= 1 and party.answer.factor >= 1 for party in said.parties)
    slowest = max(receipt.took.elapsed_ms for receipt in receipts) / 1000
    assert said.seconds / 5 < slowest < said.seconds * 5
    assert f"{said.seconds:.1f} s" in said.time


def test_the_command_shows_it_and_fails_where_a_gate_would_refuse(consortium: Consortium, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(spec("train").model_dump(mode="json")))
    options = (file, "--profile", consortium.root / "analyst")
    shown = consortia("job", "plan", *options)
    assert shown.exit_code == 0, shown.output
    for text in ("bank-c", "accepts", "sealed sums", "coordinator learns", "every party's gate would accept"):
        assert text in shown.stdout
    file.write_text(yaml.safe_dump(spec("train", features=[SECRET_COLUMN]).model_dump(mode="json")))
    told = consortia("job", "plan", *options, "--json")
    assert told.exit_code == 1
    assert {party["clause"] for party in as_json(told)["parties"]} == {"datasets.columns"}
    assert "refused by  bank-a, bank-b, bank-c" in consortia("job", "plan", *options).stdout


def test_a_question_can_not_be_run_as_a_job(consortium: Consortium) -> None:
    """A coordinator, or whoever sees the question, hands it in as a submission."""
    someone = profile.Profile.load(consortium.root / "analyst")
    question = PlanQuestion(
        network="lab",
        spec=spec("train"),
        nonce="7" * 32,
        asked_ms=5,
        analyst=someone.identity.public.fingerprint,
    )
    signature = someone.identity.sign(PlanQuestion.domain(), question.canonical())
    document = question.as_submission().canonical()
    with someone.channel() as channel:
        for data in (document, question.canonical()):
            with pytest.raises(grpc.RpcError):
                network_pb2_grpc.JobsStub(channel).Submit(pb.Submission(document=data, signature=signature))
        asked = pb.SignedQuestion(step=PlanQuestion.STEP, document=document, signature=signature)
        with pytest.raises(grpc.RpcError):
            network_pb2_grpc.QuestionsStub(channel).Ask(asked).next()


def test_only_analysts_ask(consortium: Consortium) -> None:
    with (
        Session(profile.Profile.load(consortium.root / "regulator")) as session,
        pytest.raises(NotPermittedError, match="analyst"),
    ):
        session.plan(spec("train"), 5)
