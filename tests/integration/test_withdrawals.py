"""A withdrawal: jobs stop or go on as the agreement says; recipients are told, and liars are not heard."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from consortia_common.content import Content
from consortia_common.documents import withdrawal
from consortia_common.documents.base import utc
from consortia_crypto import canonical
from consortia_crypto.keys import PrivateIdentity
from consortia_node import withdrawals
from consortia_node.statements import Statements
from consortia_node.store.jobs import JobStore
from consortia_node.store.statements import OwnStatement
from consortia_proto.v1 import control_pb2
from tests.support.consortium import build
from tests.support.hostile import Bank, Deal, Hostile, content_of, failure_of, fresh, hostile
from tests.support.specs import PURPOSE, spec

TABULATE = "query.tabulate"


@pytest.fixture(scope="module", params=["finish", "stop"])
def seat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile(build(tmp_path_factory.mktemp("hostile")), on_withdrawal=request.param, min_cell=1) as made:
        yield made


def withdraw(bank: Bank, number: str, state: str = "withdrawn") -> control_pb2.ConsentView:
    request = control_pb2.SetConsentRequest(subject=number, purpose=PURPOSE, state=state)
    return bank.control._consents.change(request)


def withdraw_by_import(bank: Bank, number: str) -> control_pb2.ConsentView:
    """As the bank's own system says it, in a table."""
    table = bank.tools.settings.folder / "withdrawn.csv"
    row = f"{number},{PURPOSE},withdrawn,{utc(bank.tools.clock())},,notice@1"
    table.write_text(f"subject,purpose,state,effective_at,valid_until,notice\n{row}\n")
    bank.control._consents.import_(control_pb2.ImportConsentRequest(path=str(table)))
    return bank.control._consents.view(number)


def state_of(bank: Bank, deal: Deal) -> str:
    with bank.tools.engine.connect() as connection:
        return str(getattr(JobStore(connection).get(deal.job_id), "state", ""))


def running(bank: Bank) -> list[str]:
    with bank.tools.engine.connect() as connection:
        return [job.job_id for job in JobStore(connection).in_state("running")]


def as_relayed(own: OwnStatement, signer: PrivateIdentity, **changes: Any) -> Content:
    """A statement as the coordinator passes it on."""
    config = {
        "type": own.type,
        "document": own.document,
        "signature": own.signature,
        "identity": canonical.encode(signer.public.document()),
    }
    return Content(config=config | changes)


def acknowledgements(bank: Bank) -> list[OwnStatement]:
    """What the bank has to say of others' statements."""
    return [own for own in Statements(bank.tools).unsent() if own.type == withdrawal.ACKNOWLEDGED]


def told(seat: Hostile, number: str) -> tuple[Deal, OwnStatement]:
    """A job that used a customer of bank-b, who then withdraws; what bank-b has to say of it."""
    deal = seat.begun(spec("statistics"))
    seat.everyone(deal, TABULATE)
    bank = seat.banks["bank-b"]
    before = {own.statement for own in Statements(bank.tools).unsent()}
    withdraw(bank, number)
    (own,) = [own for own in Statements(bank.tools).unsent() if own.statement not in before]
    return deal, own


@pytest.mark.parametrize(
    ("end", "number"), [(withdraw, "BANK-C-00017"), (withdraw_by_import, "BANK-C-00019")], ids=["said", "imported"]
)
def test_a_running_job_finishes_or_stops_as_the_agreement_says(
    end: Callable[[Bank, str], control_pb2.ConsentView], number: str, seat: Hostile
) -> None:
    bank = seat.banks["bank-c"]
    earlier = running(bank)
    deal = seat.begun(spec("statistics"))
    seat.everyone(deal, TABULATE)
    view = end(bank, number)
    stops = seat.agreement.on_withdrawal == "stop"
    assert (state_of(bank, deal), state_of(seat.banks["bank-a"], deal)) == (
        "failed" if stops else "running",
        "running",
    )
    (entry,) = [one for one in bank.entries("withdrawal.reached") if one["subject"] == view.pseudonym]
    assert sorted(entry["detail"]["running"]) == sorted([*earlier, deal.job_id])
    assert entry["detail"].get("stopped", []) == ([deal.job_id] if stops else [])
    (own,) = [one for one in Statements(bank.tools).unsent() if one.statement == entry["detail"]["statement"]]
    assert deal.job_id.encode() in own.document
    assert (bank.tools.settings.folder / "work" / deal.job_id).exists() != stops
    if stops:
        assert failure_of(bank.ask("query.conclude", job=deal.job_id)).what
        assert any(one["job"] == deal.job_id for one in bank.entries("job.failed"))


def test_what_is_too_much_for_one_statement_is_said_in_several(
    seat: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(withdrawals, "MOST_JOBS", 1)
    bank = seat.banks["bank-a"]
    for _ in range(2):
        seat.everyone(seat.begun(spec("statistics")), TABULATE)
    before = {own.statement for own in Statements(bank.tools).unsent()}
    view = withdraw(bank, "BANK-A-00031")
    told = [one for one in bank.entries("withdrawal.reached") if one["subject"] == view.pseudonym]
    assert [one["detail"]["jobs"] for one in told] == [1] * len(told)
    said = [own for own in Statements(bank.tools).unsent() if own.statement not in before]
    assert {own.statement for own in said} == {one["detail"]["statement"] for one in told}
    named = [withdrawal.read(own.type, own.document).jobs for own in said]  # type: ignore[union-attr]
    assert sorted(job for jobs in named for job in jobs) == sorted(view.reached_jobs)
    assert len(named) == len(view.reached_jobs) >= 2


def test_recipients_learn_the_job_and_nothing_of_the_customer(seat: Hostile) -> None:
    deal, own = told(seat, "BANK-B-00027")
    recipient = seat.banks["bank-a"]
    content_of(recipient.ask("notice.consent", as_relayed(own, seat.identity("bank-b"))))
    entry = recipient.entries("withdrawal.received")[-1]
    assert entry["detail"]["institution"] == "bank-b"
    assert deal.job_id in entry["detail"]["jobs"]
    pseudonym = seat.banks["bank-b"].tools.consents.find("BANK-B-00027").pseudonym
    assert pseudonym.encode() not in own.document
    assert b"BANK-B" not in own.document

    (answer,) = acknowledgements(recipient)
    assert answer.type == withdrawal.ACKNOWLEDGED
    origin = seat.banks["bank-b"]
    content_of(origin.ask("notice.acknowledgement", as_relayed(answer, seat.identity("bank-a"))))
    assert origin.entries("withdrawal.acknowledged")[-1]["detail"]["institution"] == "bank-a"
    view = origin.control._consents.view("BANK-B-00027")
    assert [one.institution for one in view.acknowledgements] == ["bank-a"]
    Statements(recipient.tools).sent(answer)
    assert acknowledgements(recipient) == []


def stated(seat: Hostile, deal: Deal, statement: str, by: str = "bank-b") -> OwnStatement:
    """What an institution could say of a consent that the job relied on."""
    said = {
        "statement": statement,
        "institution": by,
        "recipients": ["bank-a"],
        "purpose": PURPOSE,
        "state": "withdrawn",
        "effective_at": "2026-01-01T00:00:00Z",
        "jobs": [deal.job_id],
    }
    document = withdrawal.WithdrawalStatement.from_value(said, "a statement").canonical()
    return OwnStatement(
        statement, withdrawal.WITHDRAWN, document, seat.identity(by).sign(withdrawal.WITHDRAWN, document)
    )


def test_what_is_said_again_is_logged_once(seat: Hostile) -> None:
    """A coordinator may pass a statement on as often as it likes; so may it an acknowledgement."""
    own = stated(seat, seat.accepted(spec("statistics")), "a1" * 16)
    with seat.banks["bank-b"].tools.engine.begin() as connection:
        Statements(seat.banks["bank-b"].tools).write(connection, own.statement, own.type, own.document)
    recipient, origin = seat.banks["bank-a"], seat.banks["bank-b"]
    for _ in range(3):
        content_of(recipient.ask("notice.consent", as_relayed(own, seat.identity("bank-b"))))
    answer = next(one for one in acknowledgements(recipient) if own.statement.encode() in one.document)
    for _ in range(3):
        content_of(origin.ask("notice.acknowledgement", as_relayed(answer, seat.identity("bank-a"))))
    for bank, event in ((recipient, "withdrawal.received"), (origin, "withdrawal.acknowledged")):
        assert len([one for one in bank.entries(event) if one["detail"]["statement"] == own.statement]) == 1
    Statements(recipient.tools).sent(answer)


def test_nobody_keeps_an_institution_from_its_answer_by_using_its_id_first(seat: Hostile) -> None:
    deal, recipient = seat.accepted(spec("statistics")), seat.banks["bank-a"]
    for by in ("bank-c", "bank-b"):
        own = stated(seat, deal, "b2" * 16, by)
        content_of(recipient.ask("notice.consent", as_relayed(own, seat.identity(by))))
    answers = [one for one in acknowledgements(recipient) if own.statement.encode() in one.document]
    assert [b'"recipients":["bank-b"]' in one.document for one in answers].count(True) == 1
    assert len(answers) == 2
    for answer in answers:
        Statements(recipient.tools).sent(answer)


def test_revoked_keys_are_not_heard(seat: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    own = stated(seat, seat.accepted(spec("statistics")), "c3" * 16)
    recipient, signer = seat.banks["bank-a"], seat.identity("bank-b")
    revoked = signer.public.fingerprint
    monkeypatch.setattr(type(recipient.tools.peers), "is_revoked", lambda _, fingerprint: fingerprint == revoked)
    assert "were revoked" in failure_of(recipient.ask("notice.consent", as_relayed(own, signer))).what
    assert acknowledgements(recipient) == []


def test_whoever_is_no_party_by_its_key_is_not_heard(seat: Hostile) -> None:
    _, own = told(seat, "BANK-B-00029")
    recipient = seat.banks["bank-c"]
    honest, stranger = seat.identity("bank-b"), fresh("bank-b")
    forged = OwnStatement(own.statement, own.type, own.document, stranger.sign(own.type, own.document))
    before = len(recipient.entries("withdrawal.received"))
    for content in (
        as_relayed(forged, stranger),
        as_relayed(forged, honest),
        as_relayed(own, stranger),
        as_relayed(own, seat.identity("bank-a")),
        as_relayed(own, honest, document=own.document.replace(b"bank-c", b"bank-d")),
        as_relayed(own, honest, signature=b""),
        as_relayed(own, honest, identity=b"{}"),
        Content(),
    ):
        assert failure_of(recipient.ask("notice.consent", content)).what
    assert len(recipient.entries("withdrawal.received")) == before
    assert acknowledgements(recipient) == []


def test_jobs_that_were_never_shared_and_answers_to_nothing_are_refused(seat: Hostile) -> None:
    signer, recipient = seat.identity("bank-b"), seat.banks["bank-a"]
    common = {"statement": "ab" * 16, "institution": "bank-b", "recipients": ["bank-a"]}
    stated = withdrawal.WithdrawalStatement.from_value(
        common
        | {
            "purpose": PURPOSE,
            "state": "withdrawn",
            "effective_at": "2026-01-01T00:00:00Z",
            "jobs": ["job-" + "0" * 16],
        },
        "a statement",
    )
    answer = withdrawal.Acknowledgement.from_value(common | {"received_at": "2026-01-01T00:00:00Z"}, "an answer")
    for step, kind, document in (
        ("notice.consent", withdrawal.WITHDRAWN, stated.canonical()),
        ("notice.consent", withdrawal.ACKNOWLEDGED, answer.canonical()),
        ("notice.acknowledgement", withdrawal.ACKNOWLEDGED, answer.canonical()),
        ("notice.acknowledgement", withdrawal.WITHDRAWN, stated.canonical()),
    ):
        own = OwnStatement("ab" * 16, kind, document, signer.sign(kind, document))
        assert failure_of(recipient.ask(step, as_relayed(own, signer))).what


def rows_used(bank: Bank) -> int:
    """Rows of the last cohort of clients."""
    return [one["rows_used"] for one in bank.entries("access.cohort") if one["dataset"] == "clients"][-1]


def test_a_withdrawn_row_is_not_read_again(seat: Hostile) -> None:
    bank = seat.banks["bank-a"]
    used = rows_used(bank)
    withdraw(bank, "BANK-A-00017")
    view = bank.control._consents.view("BANK-A-00017")
    deal = seat.begun(spec("train"))
    seat.everyone(deal, "query.prepare")
    assert rows_used(bank) == used - 1
    assert bank.entries("access.cohort")[-1]["detail"]["lawful_basis"] == "consent"
    assert deal.job_id not in bank.control._consents.view("BANK-A-00017").reached_jobs
    assert view.reached_jobs
