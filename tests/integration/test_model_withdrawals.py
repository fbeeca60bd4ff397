"""A withdrawn model answers nobody at any party, and nobody but a party of its job can withdraw it."""

from collections.abc import Iterator
from typing import Any

import pytest

from consortia_common.content import Content
from consortia_common.documents.fitted import Model
from consortia_common.documents.statements import MODEL_WITHDRAWN, ModelWithdrawal
from consortia_common.documents.withdrawal import ACKNOWLEDGED
from consortia_crypto import canonical
from consortia_crypto.keys import PrivateIdentity
from consortia_node import jobs as rules
from consortia_node.errors import StoreError
from consortia_node.statements import Statements
from consortia_node.store.jobs import JobStore
from consortia_node.store.models import ModelStore
from consortia_node.store.statements import OwnStatement
from consortia_proto.v1 import control_pb2
from tests.support.consortium import build
from tests.support.hostile import Bank, Deal, Hostile, content_of, failure_of, hostile
from tests.support.specs import spec


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile(build(tmp_path_factory.mktemp("hostile"))) as made:
        yield made


@pytest.fixture
def deal(seat: Hostile) -> Deal:
    """A training whose model every bank keeps."""
    return trained(seat)


@pytest.fixture(scope="module")
def standing(seat: Hostile) -> Deal:
    """The same, for those who do not get its model withdrawn."""
    return trained(seat)


def trained(seat: Hostile) -> Deal:
    deal = seat.accepted(spec("train"))
    for bank in seat.banks.values():
        with bank.tools.engine.begin() as connection:
            ModelStore(connection).put(deal.job_id, model(deal.job_id), deal.job_id)
    return deal


def model(job_id: str) -> Model:
    value = {
        "label": "default",
        "link": "logit",
        "inputs": [{"kind": "number", "column": name} for name in ("income", "age")],
        "fit": {"type": "linear", "weights": ["0.5", "1"], "intercept": "0"},
        "origin": {"job": job_id},
    }
    return Model.from_value(value, "the test's model")


def own_words(bank: Bank) -> OwnStatement:
    """What the bank has to tell of the model that it withdrew last."""
    unsent = [own for own in Statements(bank.tools).unsent() if own.type == MODEL_WITHDRAWN]
    return max(unsent, key=lambda own: ModelWithdrawal.from_canonical(own.document, "own").at_ms)


def answer_to(bank: Bank, own: OwnStatement) -> OwnStatement:
    """The bank's acknowledgement."""
    answers = [one for one in Statements(bank.tools).unsent() if one.type == ACKNOWLEDGED]
    (answer,) = (one for one in answers if own.statement.encode() in one.document)
    return answer


def relayed(document: bytes, signature: bytes, signer: PrivateIdentity) -> Content:
    """A statement as the coordinator passes it on."""
    identity = canonical.encode(signer.public.document())
    return Content(config={"document": document, "signature": signature, "identity": identity})


def stated(seat: Hostile, deal: Deal, signer: PrivateIdentity, /, **changes: Any) -> Content:
    said = {
        "statement": "ab" * 16,
        "network": "lab",
        "job": deal.job_id,
        "model": model(deal.job_id).hash(),
        "institution": signer.public.institution,
        "signer": signer.public.fingerprint,
        "recipients": ["bank-a", "bank-b", "bank-c"],
        "reason": "a mistake in the label",
        "at_ms": 5,
    }
    document = ModelWithdrawal.from_value(said | changes, "the test").canonical()
    return relayed(document, signer.sign(MODEL_WITHDRAWN, document), signer)


def stands(bank: Bank, name: str) -> bool:
    return not bank.models.show(name).view.HasField("withdrawn")


def asking_for(deal: Deal) -> Any:
    digest = model(deal.job_id).hash()
    return spec("evaluate", dataset="clients_test", model=deal.job_id, model_digest=digest)


def test_a_withdrawn_model_is_refused_by_all_who_hold_it(seat: Hostile, deal: Deal) -> None:
    begun = seat.begun(asking_for(deal))
    one, other = seat.banks["bank-a"], seat.banks["bank-b"]
    view = one.models.withdraw(deal.job_id, "a mistake in the label")
    assert (view.withdrawn.institution, view.withdrawn.reason) == ("bank-a", "a mistake in the label")
    own = own_words(one)
    content_of(other.ask("notice.model", relayed(own.document, own.signature, seat.identity("bank-a"))))
    for _ in range(2):  # and said again, it changes nothing
        content_of(other.ask("notice.model", relayed(own.document, own.signature, seat.identity("bank-a"))))
    assert len([entry for entry in other.entries(MODEL_WITHDRAWN) if entry["job"] == deal.job_id]) == 1
    for bank in (one, other):
        with pytest.raises(StoreError, match=r"withdrawn by bank-a on .*: a mistake in the label"):
            bank.models.export(deal.job_id)
        entry = bank.entries(MODEL_WITHDRAWN)[-1]
        assert (entry["job"], entry["reason"]) == (deal.job_id, "a mistake in the label")
        later = seat.deal(asking_for(deal))
        failure = failure_of(bank.ask("offer", later.offer(), job=later.job_id))
        assert (failure.clause, failure.code) == ("model.withdrawn", "refused")
        assert "was withdrawn by bank-a" in failure_of(bank.ask("evaluate", job=begun.job_id)).what
    with pytest.raises(StoreError, match="withdrawn by bank-a"):
        other.models.withdraw(deal.job_id, "me too")
    assert stands(seat.banks["bank-c"], deal.job_id)  # it was away, and is told when it comes


def test_who_has_heard_of_it_is_known(seat: Hostile, deal: Deal) -> None:
    """By the acknowledgements of the parties that were told, and of nobody else."""
    one, other = seat.banks["bank-a"], seat.banks["bank-b"]
    assert list(one.models.withdraw(deal.job_id, "stale").withdrawn.recipients) == ["bank-b", "bank-c"]
    own = own_words(one)
    content_of(other.ask("notice.model", relayed(own.document, own.signature, seat.identity("bank-a"))))
    answer = answer_to(other, own)
    forged = seat.identity("bank-c").sign(ACKNOWLEDGED, answer.document)
    for signature, signer in ((forged, "bank-c"), (forged, "bank-b"), (answer.signature, "bank-c")):
        lie = relayed(answer.document, signature, seat.identity(signer))
        assert failure_of(one.ask("notice.acknowledgement", lie)).what
    for _ in range(2):
        honest = relayed(answer.document, answer.signature, seat.identity("bank-b"))
        content_of(one.ask("notice.acknowledgement", honest))
    said = one.models.show(deal.job_id).view.withdrawn
    assert [one.institution for one in said.acknowledgements] == ["bank-b"]
    assert not other.models.show(deal.job_id).view.withdrawn.recipients
    told = [entry["detail"] for entry in one.entries("withdrawal.acknowledged")]
    assert [entry["institution"] for entry in told if entry["statement"] == own.statement] == ["bank-b"]


def test_a_model_that_only_its_analyst_holds_is_withdrawn_by_its_job(seat: Hostile) -> None:
    deal, one, other = seat.accepted(spec("train")), seat.banks["bank-a"], seat.banks["bank-b"]
    with pytest.raises(StoreError, match="knows no finished training"):
        one.models.withdraw(deal.job_id, "too early")
    with one.tools.engine.begin() as connection:
        JobStore(connection).advance(deal.job_id, rules.FINISHED, one.tools.now_ms())
    view = one.models.withdraw(deal.job_id, "unfair")
    assert (view.name, view.digest, view.withdrawn.reason) == (deal.job_id, "", "unfair")
    with pytest.raises(StoreError, match="withdrawn by bank-a"):
        one.models.withdraw(deal.job_id, "again")
    own = own_words(one)
    content_of(other.ask("notice.model", relayed(own.document, own.signature, seat.identity("bank-a"))))
    (listed,) = (view for view in other.models.all().models if view.name == deal.job_id)
    assert listed.withdrawn.institution == "bank-a"
    other.models.add(control_pb2.AddModelRequest(name="brought", document=model(deal.job_id).canonical()))
    assert not stands(other, "brought")


def test_nothing_but_a_training_has_a_model(seat: Hostile) -> None:
    deal, bank = seat.accepted(spec("statistics")), seat.banks["bank-a"]
    with bank.tools.engine.begin() as connection:
        JobStore(connection).advance(deal.job_id, rules.FINISHED, bank.tools.now_ms())
    for name in (deal.job_id, "job-0123456789abcdef", "nothing"):
        with pytest.raises(StoreError, match="keeps no model named"):
            bank.models.withdraw(name, "a mistake")


def test_a_copy_that_is_brought_back_is_withdrawn_too(seat: Hostile, deal: Deal) -> None:
    bank = seat.banks["bank-a"]
    bank.models.withdraw(deal.job_id, "stale")
    document = model(deal.job_id).canonical()
    bank.models.add(control_pb2.AddModelRequest(name=f"copy-{deal.job_id}", document=document))
    with pytest.raises(StoreError, match="stale"):
        bank.models.export(f"copy-{deal.job_id}")


def test_a_model_of_ones_own_is_withdrawn_without_telling_anybody(seat: Hostile) -> None:
    bank = seat.banks["bank-b"]
    bank.models.add(control_pb2.AddModelRequest(name="own", document=model("").canonical()))
    before = Statements(bank.tools).unsent()
    bank.models.withdraw("own", "replaced")
    assert not stands(bank, "own")
    assert Statements(bank.tools).unsent() == before


def test_it_may_be_told_before_the_model_is_there(seat: Hostile) -> None:
    deal, bank = seat.accepted(spec("train")), seat.banks["bank-c"]
    content_of(bank.ask("notice.model", stated(seat, deal, seat.identity("bank-a"))))
    with bank.tools.engine.begin() as connection:
        ModelStore(connection).put(deal.job_id, model(deal.job_id), deal.job_id)
    assert not stands(bank, deal.job_id)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"network": "other"}, "another network"),
        ({"institution": "bank-b"}, "another signer"),
        ({"signer": "0" * 64}, "another signer"),
        ({"model": "0" * 64}, "another model"),
        ({"job": "job-0123456789abcdef"}, "has not trained with it"),
        ({"job": ""}, "has not trained with it"),
        ({"at_ms": 10**13 * 3}, "from the future"),
    ],
)
def test_a_false_withdrawal_is_not_heard(seat: Hostile, standing: Deal, changes: dict[str, Any], why: str) -> None:
    bank = seat.banks["bank-c"]
    assert (
        why in failure_of(bank.ask("notice.model", stated(seat, standing, seat.identity("bank-a"), **changes))).what
    )
    assert stands(bank, standing.job_id)


def test_a_party_that_withdraws_again_and_again_is_noted_once(seat: Hostile) -> None:
    """Under ever new digests of a model that is not kept here, which would fill the table and the log."""
    deal, bank = seat.accepted(spec("train")), seat.banks["bank-c"]
    for digit in "0123":
        again = stated(seat, deal, seat.identity("bank-b"), model=digit * 64, statement=digit * 32)
        content_of(bank.ask("notice.model", again))
    assert len([entry for entry in bank.entries(MODEL_WITHDRAWN) if entry["job"] == deal.job_id]) == 1
    with bank.tools.engine.connect() as connection:
        assert len([by for by in ModelStore(connection).of_absent() if by.job_id == deal.job_id]) == 1


def test_a_stranger_is_not_heard(seat: Hostile, standing: Deal) -> None:
    bank, stranger = seat.banks["bank-c"], PrivateIdentity.generate("lab", "bank-a", "node", "main")
    assert "another key" in failure_of(bank.ask("notice.model", stated(seat, standing, stranger))).what
    assert failure_of(bank.ask("notice.model", stated(seat, standing, seat.analyst))).what
    honest = seat.identity("bank-a")
    document = stated(seat, standing, honest).config["document"]
    forged = relayed(document, stranger.sign(MODEL_WITHDRAWN, document), honest)
    assert failure_of(bank.ask("notice.model", forged)).what
    assert stands(bank, standing.job_id)
    assert bank.entries("message.refused")
