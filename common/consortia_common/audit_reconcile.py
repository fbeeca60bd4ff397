"""PURE: what one institution's log says and another's does not: omissions, which no log can show by itself.

A message that at least one given log tells of must be told of by every given log on its way (audit_exchanges), and
alike. An owner's signature vouches for what its log says, not for what it leaves out; so a lack is charged to the
log that lacks the entry, and the entries that tell of it in the others are the evidence.

What is not charged: a receiver's silence while the job or agreement has not come to its end (the message may still
be on its way) or after the job failed (it may never have been sent), and silence about what happened after a copy's
last entry. A lack on the sender's side is always charged: everybody logs before sending.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from consortia_common.audit_exchanges import COORDINATOR, EXCHANGES, Place, Trace, traces
from consortia_crypto.audit.entry import Entry

_ENDS = {"job.finished": "finished", "job.failed": "failed"}


class Lack(StrEnum):
    """What it means that a log does not tell of a message."""

    OMITTED = "omitted"
    """It should: the log was kept incompletely."""
    DIFFERS = "differs"
    """It tells of it, but says something else."""
    ENDS_BEFORE = "ends before"
    """The copy ends before it happened; a newer copy would tell."""
    UNDER_WAY = "under way"
    """The message may still be on its way."""
    GIVEN_UP = "given up"
    """The job failed, so the message may never have been sent."""


@dataclass(frozen=True)
class Mention:
    """An entry that tells of a message."""

    institution: str
    entry: int
    event: str
    time: str

    def __str__(self) -> str:
        return f"entry {self.entry} of {self.institution} ({self.event}, {self.time})"


@dataclass(frozen=True)
class Omission:
    """``institution``'s log lacks what ``evidence`` tells of. ``between``: the entries around the place for it."""

    lack: Lack
    institution: str
    exchange: str
    subject: tuple[str, ...]
    sender: str
    receiver: str
    evidence: tuple[Mention, ...]
    between: tuple[int | None, int | None]
    says: tuple[str, ...] = ()
    instead: Mention | None = None

    @property
    def sentence(self) -> str:
        """For a person to read."""
        what = f"{EXCHANGES[self.exchange].summary} ({', '.join(filter(None, self.subject))})"
        proof = " and ".join(str(mention) for mention in self.evidence)
        if self.lack is Lack.DIFFERS:
            return f"{self.institution} says something else in {self.instead}: {what}; see {proof}"
        verb = "left out" if self.lack is Lack.OMITTED else "has no entry for"
        return f"{self.institution} {verb}{self._where}: {what}, {self.sender} → {self.receiver}; see {proof}"

    @property
    def _where(self) -> str:
        before, after = self.between
        if before is None or after is None:
            return " after its last entry" if after is None else " before its first entry"
        return f" between its entries {before} and {after}"

    def document(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "lack": str(self.lack), "institution": self.institution, "exchange": self.exchange,
            "subject": list(self.subject), "sender": self.sender, "receiver": self.receiver,
            "between": list(self.between), "says": list(self.says), "sentence": self.sentence,
            "evidence": [vars(mention) for mention in self.evidence],
            "instead": vars(self.instead) if self.instead else None,
        }  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """``matched``: by exchange, how many messages every log on their way tells of alike."""

    matched: Mapping[str, int]
    lacks: tuple[Omission, ...]

    def of(self, *kinds: Lack) -> list[Omission]:
        """The lacks of these kinds."""
        return [item for item in self.lacks if item.lack in kinds]


@dataclass
class Ledger:
    """What one log tells of messages. Feed it every entry, in order."""

    owner: str
    traces: list[tuple[Trace, Mention]] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=dict)
    parties: dict[str, tuple[str, ...]] = field(default_factory=dict)
    activated: set[str] = field(default_factory=set)
    receipts: dict[str, set[str]] = field(default_factory=dict)
    blamed: dict[str, str] = field(default_factory=dict)
    dropped: set[tuple[str, ...]] = field(default_factory=set)
    """Job, sum, round and party of each summand that the coordinator says is missing from its sum."""
    seen_until: str = ""
    """The log held no more than these entries at this time; from a checkpoint that others cosigned, if known."""

    def see(self, entry: Entry) -> None:
        """Take the next entry into account."""
        mention = Mention(self.owner, entry.index, entry.type, entry.time)
        self.traces += [(trace, mention) for trace in traces(entry, self.owner)]
        self.times.append(max(entry.time, self.times[-1] if self.times else ""))
        detail = entry.body.get("detail", {})
        if entry.type in _ENDS:
            self.ends[entry.body["job"]] = _ENDS[entry.type]
            self.blamed[entry.body["job"]] = detail.get("institution", "")
        elif entry.type == "sum.dropped":
            told = (entry.body["job"], detail["step"], str(detail["round"]), detail["institution"])
            self.dropped.add(told)
        elif entry.type == "job.receipt":
            self.receipts.setdefault(entry.body["job"], set()).add(detail.get("institution", self.owner))
        elif entry.type == "job.submitted":
            self.parties[entry.body["job"]] = tuple(detail.get("parties", ()))
        elif entry.type == "agreement.activated":
            self.activated.add(entry.body["agreement"])
            self.parties[entry.body["agreement"]] = tuple(detail.get("parties", ()))

    def has_heard(self, trace: Trace) -> bool:
        """Whether the log shows elsewhere that its owner, the coordinator, had this message of a party's.

        It ends a job once every party has given its receipt; and it names the party whose refusal ended one.
        """
        job = trace.key[0]
        if trace.exchange == "decision":
            return self.blamed.get(job) == trace.sender and "refuse" in trace.says
        return trace.exchange == "end" and self.receipts.get(job, set()) >= set(
            self.parties.get(job, (trace.sender,))
        )

    @property
    def last_time(self) -> str:
        """Up to when the log's silence says something."""
        return max(self.seen_until, self.times[-1] if self.times else "")

    def around(self, time: str) -> tuple[int | None, int | None]:
        """The numbers of the entries before and after ``time``."""
        after = bisect_right(self.times, time)
        return (after - 1 if after else None), (after if after < len(self.times) else None)


@dataclass
class _Message:
    """One message in one wording, and where it was found."""

    sample: Trace
    found: dict[Place, Mention] = field(default_factory=dict)
    demanded: bool = False


_Subject = tuple[str, tuple[str, ...], str, str]
"""Exchange, key, sender, receiver."""


def compare(ledgers: Iterable[Ledger]) -> Comparison:
    """Compare the logs of several institutions, the coordinator's among them or not."""
    by_owner = {ledger.owner: ledger for ledger in ledgers}
    matched: Counter[str] = Counter()
    lacks: dict[tuple[object, ...], Omission] = {}
    for subject, wordings in _messages(by_owner).items():
        lacking = [message for message in wordings.values() if _missing(message, by_owner)]
        complete = sum(len(message.found) > 1 for message in wordings.values() if message not in lacking)
        matched.update({subject[0]: complete} if complete else {})
        for item in _judge_all([message for message in lacking if message.demanded], by_owner):
            # a message to several receivers that one log lacks is one omission
            lacks.setdefault((item.institution, item.evidence[0], item.exchange), item)
    ordered = sorted(lacks.values(), key=lambda item: (item.evidence[0].time, item.institution))
    return Comparison(dict(matched), tuple(ordered))


def _messages(by_owner: Mapping[str, Ledger]) -> dict[_Subject, dict[tuple[str, ...], _Message]]:
    """Everything that any log tells of, by subject and wording."""
    parties = {name: members for ledger in by_owner.values() for name, members in ledger.parties.items()}
    everybody = tuple(owner for owner in by_owner if owner != COORDINATOR)
    messages: dict[_Subject, dict[tuple[str, ...], _Message]] = defaultdict(dict)
    for ledger in by_owner.values():
        last = {trace.attempt: mention for trace, mention in ledger.traces if trace.attempt}
        for trace, mention in ledger.traces:
            given_up = bool(trace.attempt) and last[trace.attempt] != mention
            for one in trace.resolved(parties.get(trace.key[0], everybody) if trace.key else everybody):
                subject = (one.exchange, one.key, one.sender, one.receiver)
                message = messages[subject].setdefault(one.says, _Message(one))
                message.found.setdefault(one.place, mention)
                message.demanded |= one.demands and not given_up
    return messages


def _missing(message: _Message, by_owner: Mapping[str, Ledger]) -> list[Place]:
    """The places whose log was given and does not tell of the message."""
    path = EXCHANGES[message.sample.exchange].path
    return [place for place in path if place not in message.found and _holder(message.sample, place) in by_owner]


def _holder(trace: Trace, place: Place) -> str:
    return {Place.SENDER: trace.sender, Place.COORDINATOR: COORDINATOR, Place.RECEIVER: trace.receiver}[place]


def _judge_all(lacking: list[_Message], by_owner: Mapping[str, Ledger]) -> Iterator[Omission]:
    """What is to be said of the wordings of one message that are not in every log.

    Of wordings that exclude each other, the one that most logs have is held against the others.
    """
    ranked = sorted(lacking, key=lambda message: (-len(message.found), min(message.found)))
    for rank, message in enumerate(ranked):
        missing = _missing(message, by_owner)
        better = next((other for other in ranked[:rank] if set(missing) & other.found.keys()), None)
        if better is not None:
            place = min(message.found)
            yield _omission(Lack.DIFFERS, better, place, by_owner, message.found[place])
            continue
        worse = {place for other in ranked[rank + 1 :] for place in other.found}
        for place in missing:
            if place not in worse:
                ledger = by_owner[_holder(message.sample, place)]
                yield _omission(_lack(message, place, ledger, by_owner), message, place, by_owner)


def _omission(
    lack: Lack, message: _Message, place: Place, by_owner: Mapping[str, Ledger], instead: Mention | None = None
) -> Omission:
    trace = message.sample
    ledger = by_owner[_holder(trace, place)]
    evidence = tuple(message.found[found] for found in sorted(message.found))
    around = ledger.around(evidence[0].time)
    subject = (trace.exchange, trace.key, trace.sender, trace.receiver)
    return Omission(lack, ledger.owner, *subject, evidence, around, trace.says, instead)


def _lack(message: _Message, place: Place, ledger: Ledger, by_owner: Mapping[str, Ledger]) -> Lack:
    if ledger.last_time < min(mention.time for mention in message.found.values()):
        return Lack.ENDS_BEFORE
    if message.sample.exchange == "part" and (*message.sample.key, message.sample.sender) in ledger.dropped:
        return Lack.GIVEN_UP
    closes = EXCHANGES[message.sample.exchange].closes
    if place < max(message.found) or not closes:
        return Lack.OMITTED
    if closes == "agreement":
        return Lack.OMITTED if message.sample.key[0] in ledger.activated else Lack.UNDER_WAY
    end = _end(message.sample.key[0], by_owner)
    if end == "finished" or _was_offered(message.sample, ledger) or ledger.has_heard(message.sample):
        return Lack.OMITTED
    return Lack.GIVEN_UP if end == "failed" else Lack.UNDER_WAY


def _end(job: str, by_owner: Mapping[str, Ledger]) -> str:
    """How the job ended: by the coordinator's word if its log is there, else if any party says that it failed."""
    if COORDINATOR in by_owner:
        return by_owner[COORDINATOR].ends.get(job, "")
    return min((ledger.ends[job] for ledger in by_owner.values() if job in ledger.ends), default="")


def _was_offered(trace: Trace, ledger: Ledger) -> bool:
    """Whether the log tells of a job whose offer, the first thing to be logged of it, it does not tell of."""
    return trace.exchange == "offer" and any(other.key[:1] == trace.key for other, _ in ledger.traces)
