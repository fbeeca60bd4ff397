"""The catalogue in a running consortium: descriptions of what an agreement offers, to its analysts, no value."""

import json

import grpc
import pyarrow.parquet as pq
import pytest

from consortia_client.offering import Offering
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.catalogue import CatalogueQuestion
from consortia_common.documents.plan import PlanQuestion
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc
from tests.support import evidence
from tests.support.cli import as_json, consortia
from tests.support.consortium import COLUMNS, SECRET_COLUMN, Consortium
from tests.support.specs import BANKS


def agreement(consortium: Consortium) -> Agreement:
    with consortium.analyst() as session:
        return next(one for one in session.agreements() if one.id == "credit-risk")


def test_every_party_says_what_it_declares_and_no_value(consortium: Consortium) -> None:
    with consortium.analyst() as session:
        told = session.catalogue(agreement(consortium), 7)
    assert [one.institution for one in told] == list(BANKS)
    for one in told:
        assert one.answer
        assert [dataset.name for dataset in one.answer.datasets] == ["clients", "clients_test"]
        clients = one.answer.datasets[0]
        assert [column.name for column in clients.columns] == list(COLUMNS)
        assert clients.rows
        assert (clients.rows.low, clients.rows.high) == (256, 512)
        said = one.answer.canonical().decode()
        assert SECRET_COLUMN not in said
        assert 'client"' not in said
        table = pq.read_table(consortium.root / one.institution / "data" / "clients.parquet")
        assert not any(str(value) in said for value in table["income"].to_pylist())
    for whose in (*BANKS, "coordinator"):
        assert any(entry.type == "catalogue.asked" for entry in evidence.entries(consortium, whose))
    for bank in BANKS:
        assert any(entry.type == "catalogue.told" for entry in evidence.entries(consortium, bank))


def test_an_offering_has_what_all_declare(consortium: Consortium) -> None:
    found = agreement(consortium)
    with consortium.analyst() as session:
        told = [one.answer for one in session.catalogue(found, 8) if one.answer]
    offering = Offering.of(found, told)
    columns = {column.name: column for column in offering.datasets[0].columns}
    assert columns["region"].allowed == "1, 2, 3"
    assert columns["age"].type == "integer"
    assert not any(column.differs for column in columns.values())
    assert offering.datasets[0].rows == dict.fromkeys(BANKS, "256–511")


def test_the_command_lists_it(consortium: Consortium) -> None:
    listed = as_json(consortia("catalogue", "list", "--profile", consortium.root / "analyst", "--json"))
    (offered,) = [one for one in listed if one["agreement"] == "credit-risk@1"]
    assert offered["datasets"][0]["columns"][0]["type"] == "number"
    lines = consortia("catalogue", "list", "--profile", consortium.root / "analyst", "--csv").stdout.splitlines()
    assert lines[0].startswith("agreement,dataset,institutions,column,type,")
    assert any(line.startswith('credit-risk@1,clients,"bank-a, bank-b, bank-c",income,number,') for line in lines)
    shown = consortia("catalogue", "list", "--profile", consortium.root / "analyst", "--agreement", "credit-risk")
    assert shown.exit_code == 0, shown.output
    assert "credit-risk@1 · clients" in shown.output
    assert json.dumps(listed).count(SECRET_COLUMN) == 0


def test_nobody_else_is_told_and_nothing_under_no_agreement(consortium: Consortium) -> None:
    found = agreement(consortium)
    with consortium.analyst() as session:
        other = session.catalogue(found.model_copy(update={"id": "no-such"}), 9)
    assert all(one.answer is None and one.failure and one.failure.clause == "agreement" for one in other)


def test_a_question_is_the_analyst_s_own(consortium: Consortium) -> None:
    """Another network, another analyst's name, another domain's signature: each is refused at the door."""
    with consortium.analyst() as session:
        own = session._profile.identity
        question = CatalogueQuestion(
            network=session._profile.network,
            agreement="credit-risk@1",
            parties=BANKS,
            nonce="0" * 32,
            asked_ms=1,
            analyst=own.public.fingerprint,
        )
        stub = network_pb2_grpc.QuestionsStub(session._channel)
        for changes, domain, step in (
            ({"network": "elsewhere"}, CatalogueQuestion.domain(), "catalogue"),
            ({"analyst": "0" * 64}, CatalogueQuestion.domain(), "catalogue"),
            ({}, PlanQuestion.domain(), "catalogue"),
            ({}, CatalogueQuestion.domain(), "plan"),
            ({}, CatalogueQuestion.domain(), "offer"),
        ):
            document = question.model_copy(update=changes).canonical()
            asked = pb.SignedQuestion(step=step, document=document, signature=own.sign(domain, document))
            with pytest.raises(grpc.RpcError):
                stub.Ask(asked, timeout=20).next()
