"""Reconciling: whichever entry a log leaves out, the others' logs name it; what may be on its way is not."""

from itertools import count

import pytest

from consortia_common.audit_exchanges import EXCHANGES, ROWS, traces
from consortia_common.audit_reconcile import Lack, Ledger, compare
from consortia_crypto.audit.entry import NO_ENTRY, Entry
from consortia_crypto.audit.events import EVENTS
from consortia_crypto.keys import PrivateIdentity

BANKS = ("bank-a", "bank-b", "bank-c")
EVERYBODY = ("coordinator", *BANKS)
SIGNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
AGREEMENT = "credit@1#" + "a" * 64
JOB = {"job": "job-1"}


def digest(*words):
    return "-".join(map(str, words))


class Tale:
    """What a network would log; ``tell`` makes one entry, ``ledgers`` all logs but for what somebody forgets."""

    def __init__(self):
        self.seconds = count()
        self.told = []

    def tell(self, who, event, **fields):
        body = {
            name: fields.pop(name)
            for name in list(fields)
            if name in ("job", "agreement", "decision", "reason", "payload_commit")
        }
        body |= {"type": event, "org": who, "retention_class": EVENTS[event].retention, "detail": fields}
        body["ts"] = f"2026-01-01T00:{next(self.seconds) // 60:02d}:{next(self.seconds) % 60:02d}.000Z"
        self.told.append((who, body))

    def ledgers(self, forget=None, whose=EVERYBODY, until=None):
        made = {who: Ledger(who) for who in whose}
        sizes = dict.fromkeys(EVERYBODY, 0)
        for number, (who, body) in enumerate(self.told[:until]):
            if who in made and number != forget:
                entry = Entry.sign(sizes[who], NO_ENTRY, bytes(16), body, SIGNER, SIGNER.public.fingerprint)
                made[who].see(entry)
                sizes[who] += 1
        return made.values()


def story(outcome="finished"):
    """A network with one agreement and one job."""
    tale = Tale()
    agree(tale)
    for who in EVERYBODY:
        tale.tell(who, "job.submitted", **JOB, kind="train", parties=list(BANKS), payload_commit="b" * 64)
    for bank in BANKS:
        decision = "refuse" if outcome == "refused" and bank == "bank-c" else "accept"
        tale.tell(bank, "job.decided", **JOB, kind="train", decision=decision)
        tale.tell("coordinator", "job.decided", **JOB, kind="train", decision=decision, institution=bank)
    decide(tale)
    if outcome != "refused":
        letter(tale)
        total(tale, "moments", 0)
        total(tale, "update", 1)
    if outcome == "finished":
        finish(tale)
    else:
        tale.tell("coordinator", "job.failed", **JOB, reason="it failed", institution="bank-c")
    for who in EVERYBODY:
        tale.tell(who, "log.opened", software="s", cut_bytes=0)
    return tale


def agree(tale):
    for bank in BANKS:
        tale.tell(bank, "node.enrolled", fingerprint=bank)
        tale.tell("coordinator", "member.enrolled", institution=bank, role="node", name="node", fingerprint=bank)
    for bank, events in zip(
        BANKS, (("agreement.proposed", "agreement.signed"), *[("agreement.signed",)] * 2), strict=True
    ):
        for event in events:
            for who in (bank, "coordinator", *(other for other in BANKS if other != bank)):
                tale.tell(who, event, agreement=AGREEMENT, institution=bank, fingerprint=bank)
    for bank in BANKS:
        tale.tell(bank, "agreement.activated", agreement=AGREEMENT, parties=list(BANKS))


def decide(tale):
    """An officer of bank-b approves the job; bank-c suspends the agreement for the time after it."""
    approval = {"decision": "approve", "institution": "bank-b", "fingerprint": "o", "payload_commit": "c" * 64}
    for who in ("coordinator", "bank-b"):
        tale.tell(who, "job.approval", **JOB, **approval)
    change = {"decision": "suspend", "institution": "bank-c", "fingerprint": "bank-c", "payload_commit": "d" * 64}
    for who in ("bank-c", "coordinator", "bank-a", "bank-b"):
        tale.tell(who, "agreement.change", agreement=AGREEMENT, **change)


def letter(tale):
    words = {"step": "epoch.seed", "digest": digest("letter")}
    tale.tell("bank-a", "envelope.sealed", **JOB, peer="bank-b", **words)
    tale.tell("coordinator", "envelope.relayed", **JOB, sender="bank-a", recipient="bank-b", **words)
    tale.tell("bank-b", "envelope.opened", **JOB, peer="bank-a", **words)


def total(tale, step, turn):
    for bank in BANKS:
        tale.tell(bank, "update.sealed", **JOB, step=step, round=turn, digest=digest(bank, step))
    parts = [digest(bank, step) for bank in BANKS]
    tale.tell("coordinator", "sum.added", **JOB, step=step, round=turn, institutions=list(BANKS), parts=parts,
              digest=digest(step))  # fmt: skip
    for bank in BANKS:
        tale.tell(bank, "sum.opened", **JOB, step=step, round=turn, institutions=list(BANKS), digest=digest(step))


def finish(tale):
    for bank, peer in (("bank-a", "bank-b"), ("bank-b", "bank-a")):
        tale.tell(bank, "scores.returned", **JOB, peer=peer, rows=7, model="m")
    for bank in BANKS:
        tale.tell(bank, "job.receipt", **JOB, digest=digest(bank))
        tale.tell(bank, "job.finished", **JOB, kind="train")
        tale.tell("coordinator", "job.receipt", **JOB, institution=bank, digest=digest(bank))
    tale.tell("coordinator", "job.finished", **JOB, kind="train")


STORY = story()
FORGETTABLE = [
    number
    for number, (who, body) in enumerate(STORY.told)
    if body["type"] in {row.event for row in ROWS}
    # who proposes also signs, so the coordinator has told of that signature already
    and (who, body["type"], body["detail"].get("institution")) != ("coordinator", "agreement.signed", "bank-a")
    # a node need not tell of what did not count there
    and (who == "coordinator" or body["type"] not in ("agreement.change", "job.approval"))
]


def test_logs_that_tell_everything_agree():
    found = compare(STORY.ledgers())
    assert found.lacks == ()
    assert found.matched.keys() == EXCHANGES.keys() - {"failure"}
    assert found.matched["part"] == found.matched["total"] == 6


@pytest.mark.parametrize(
    "number", FORGETTABLE, ids=lambda number: "{}-{}".format(number, STORY.told[number][1]["type"])
)
def test_whatever_one_forgets_the_others_name(number):
    who, _ = STORY.told[number]
    (lack, *others) = compare(STORY.ledgers(forget=number)).lacks
    assert (lack.lack, lack.institution) == (Lack.OMITTED, who)
    assert all(mention.institution != who for mention in lack.evidence)
    assert all(other.institution == who for other in others)
    assert f"{who} left out" in lack.sentence


@pytest.mark.parametrize("event", ["agreement.change", "job.approval"])
def test_what_did_not_count_at_a_node_is_no_omission(event):
    for number, (who, body) in enumerate(STORY.told):
        if body["type"] == event and who != "coordinator":
            assert compare(STORY.ledgers(forget=number)).lacks == ()


def test_two_banks_find_what_the_coordinator_need_not_tell():
    for number in FORGETTABLE:
        who, body = STORY.told[number]
        if body["type"] in ("envelope.sealed", "envelope.opened", "scores.returned"):
            (lack,) = compare(STORY.ledgers(forget=number, whose=("bank-a", "bank-b"))).lacks
            assert (lack.lack, lack.institution) == (Lack.OMITTED, who)


def test_an_omission_is_named_with_place_time_and_evidence():
    (number,) = [
        n for n, (who, body) in enumerate(STORY.told) if (who, body["type"]) == ("bank-b", "envelope.opened")
    ]
    (lack,) = compare(STORY.ledgers(forget=number)).lacks
    before, after = lack.between
    assert after == before + 1
    assert [mention.institution for mention in lack.evidence] == ["bank-a", "coordinator"]
    assert lack.evidence[0].time in lack.sentence
    assert lack.document()["sentence"] == lack.sentence


def test_of_what_was_sealed_again_after_a_crash_the_last_one_counts():
    tale = story()
    number = next(n for n, (_, body) in enumerate(tale.told) if body["type"] == "envelope.sealed")
    who, body = tale.told[number]
    tale.told.insert(number, (who, body | {"detail": body["detail"] | {"digest": digest("lost in a crash")}}))
    assert compare(tale.ledgers()).lacks == ()
    (lack,) = compare(tale.ledgers(forget=number + 1)).lacks
    assert (lack.lack, lack.institution) == (Lack.DIFFERS, "bank-a")


@pytest.mark.parametrize("event", ["envelope.sealed", "envelope.relayed", "envelope.opened", "job.receipt"])
def test_one_who_says_something_else_is_told_apart_from_one_who_says_nothing(event):
    tale = story()
    number = max(n for n, (who, body) in enumerate(tale.told) if body["type"] == event)
    who, body = tale.told[number]
    tale.told[number] = (who, body | {"detail": body["detail"] | {"digest": "other"}})
    lacks = compare(tale.ledgers()).lacks
    assert {lack.lack for lack in lacks} == {Lack.DIFFERS}
    assert len(lacks) == 1
    assert who in {lacks[0].institution, *(mention.institution for mention in lacks[0].evidence)}


@pytest.mark.parametrize("until", range(10, len(STORY.told), 3))
def test_nothing_is_charged_while_messages_are_on_their_way(until):
    assert compare(STORY.ledgers(until=until)).of(Lack.OMITTED, Lack.DIFFERS) == []


def test_a_failed_job_excuses_receivers_but_not_senders():
    for outcome in ("refused", "failed"):
        tale = story(outcome)
        assert compare(tale.ledgers()).of(Lack.OMITTED) == []
        for number, (who, body) in enumerate(tale.told):
            if body["type"] in ("envelope.sealed", "update.sealed", "envelope.relayed"):
                assert [lack.institution for lack in compare(tale.ledgers(forget=number)).of(Lack.OMITTED)] == [who]


def test_an_offer_is_charged_even_if_the_job_was_refused():
    tale = story("refused")
    (number,) = [n for n, (who, body) in enumerate(tale.told) if (who, body["type"]) == ("bank-b", "job.submitted")]
    (lack,) = compare(tale.ledgers(forget=number)).lacks
    assert (lack.lack, lack.institution, lack.exchange) == (Lack.OMITTED, "bank-b", "offer")


def test_a_copy_that_ends_early_is_not_charged_for_what_came_later():
    short = [ledger for ledger in STORY.ledgers(until=30) if ledger.owner == "bank-b"]
    others = [ledger for ledger in STORY.ledgers() if ledger.owner != "bank-b"]
    found = compare([*short, *others])
    assert found.of(Lack.ENDS_BEFORE)
    assert {lack.institution for lack in found.lacks} == {"bank-b"}
    assert found.of(Lack.OMITTED) == []
    short[0].seen_until = "2026-01-02T00:00:00.000Z"  # a checkpoint says that there was no more a day later
    assert compare([*short, *others]).of(Lack.OMITTED)


def test_the_table_uses_events_and_fields_that_exist():
    common = {"job", "agreement", "decision", "payload_commit", "policy_hash"}
    for row in ROWS:
        names = {*row.key, *row.says, row.sender, row.receiver, *(row.only or ())[:1]} - {""}
        unknown = {name for name in names if not name.startswith("=")} - common - EVENTS[row.event].detail.keys()
        assert not unknown, row
        assert row.exchange in EXCHANGES
        assert row.place in EXCHANGES[row.exchange].path


def test_an_entry_that_no_row_names_tells_of_no_message():
    body = {"type": "log.opened", "ts": "2026-01-01T00:00:00.000Z", "org": "bank-a", "retention_class": "network",
            "detail": {"software": "s", "cut_bytes": 0}}  # fmt: skip
    entry = Entry.sign(0, NO_ENTRY, bytes(16), body, SIGNER, SIGNER.public.fingerprint)
    assert list(traces(entry, "bank-a")) == []
