"""PURE: which entries of different logs belong together: the table by which ``reconcile`` compares them.

A message passes up to three logs: its sender's, the coordinator's, its receiver's. ROWS says which event tells of
it in each, what identifies it there (``key``) and what all of them must say alike (``says``: digests, for the most
part). ``traces`` turns one entry into what it tells of messages; nothing here knows whether a partner is missing.

Connections have no row: whether a greeting arrived is known to neither end for certain.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from consortia_crypto.audit.entry import Entry


class Place(IntEnum):
    """Where on a message's way a log stands."""

    SENDER = 0
    COORDINATOR = 1
    RECEIVER = 2


COORDINATOR = "coordinator"
"""The institution by which the coordinator keeps its log."""
ANALYST = "analyst"
"""Whoever submits jobs; a person, who keeps no log."""
OFFICER = "officer"
"""Whoever decides for a party; a person, who keeps no log."""


@dataclass(frozen=True)
class Exchange:
    """One kind of message. ``path``: the places that log it."""

    name: str
    summary: str
    path: tuple[Place, ...]
    closes: str = "job"
    """What must have come to its end before a receiver's silence counts; nothing if empty."""


@dataclass(frozen=True)
class Row:
    """How ``event`` tells of a message in a log at ``place``.

    ``sender`` and ``receiver`` name the field that says who they are, or are a name behind "="; without one, it is
    the log's owner. A field that is a list tells of as many messages, of which the n-th says the n-th item of the
    field in ``says``. ``only`` restricts the row to entries where a field has that value. A row that does not
    ``demand`` answers a partner's entry without asking for one. ``retry`` names what identifies an attempt that is
    made again after a crash, of which only the last counts.
    """

    exchange: str
    event: str
    place: Place
    key: tuple[str, ...]
    says: tuple[str, ...] = ()
    sender: str = ""
    receiver: str = ""
    only: tuple[str, str] | None = None
    demands: bool = True
    retry: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trace:
    """What one entry tells of one message."""

    exchange: str
    key: tuple[str, ...]
    sender: str
    receiver: str
    says: tuple[str, ...]
    place: Place
    demands: bool
    attempt: tuple[str, ...]
    """Of the traces with one attempt in one log, the last is the one that was sent; empty if each counts."""

    def resolved(self, parties: Iterable[str]) -> "Iterator[Trace]":
        """The trace itself, or one for each of ``parties`` if one end of it is PARTIES."""
        others = (party for party in parties if party not in (self.sender, self.receiver))
        if self.sender == PARTIES:
            yield from (replace(self, sender=party) for party in others)
        elif self.receiver == PARTIES:
            yield from (replace(self, receiver=party) for party in others)
        else:
            yield self


_S, _C, _R = Place
EXCHANGES: Mapping[str, Exchange] = {
    item.name: item
    for item in (
        Exchange("enrolment", "a node joins the network", (_S, _C), ""),
        Exchange("proposal", "an agreement is put forward", (_S, _C, _R), "agreement"),
        Exchange("signature", "an agreement is signed", (_S, _C, _R), "agreement"),
        Exchange("change", "a party asks to suspend, resume or end an agreement", (_C, _R), "agreement"),
        Exchange("offer", "a job is offered to a party", (_C, _R)),
        Exchange("approval", "an officer approves or refuses a job", (_C, _R)),
        Exchange("decision", "a party's gate accepts or refuses", (_S, _C)),
        Exchange("letter", "an envelope goes from one party to another", (_S, _C, _R)),
        Exchange("part", "a party's sealed part goes into a sum", (_S, _C)),
        Exchange("total", "the sealed sum goes to a party", (_C, _R)),
        Exchange("scores", "two parties say how many customers were scored, and by which model", (_S, _R)),
        Exchange("receipt", "a party gives its receipt", (_S, _C)),
        Exchange("end", "a job comes to its end", (_S, _C)),
        Exchange("failure", "a party gives a job up", (_S, _C)),
    )
}
PARTIES = "=parties"
"""Everybody who has a part in the job or agreement that the key names; see Trace."""
_FROM_COORDINATOR, _FROM_ANALYST, _FROM_OFFICER = (f"={name}" for name in (COORDINATOR, ANALYST, OFFICER))
_STEP = ("type", "job", "step", "round", "peer")

ROWS: tuple[Row, ...] = (
    Row("enrolment", "node.enrolled", _S, (), ("fingerprint",), receiver=_FROM_COORDINATOR),
    Row("enrolment", "member.enrolled", _C, (), ("fingerprint",), "institution", only=("role", "node")),
    Row("proposal", "agreement.proposed", _S, ("agreement",), (), "institution", PARTIES),
    Row("proposal", "agreement.proposed", _C, ("agreement",), (), "institution", PARTIES),
    Row("proposal", "agreement.proposed", _R, ("agreement",), (), "institution"),
    Row("signature", "agreement.signed", _S, ("agreement",), ("fingerprint",), "institution", PARTIES),
    Row("signature", "agreement.proposed", _C, ("agreement",), ("fingerprint",), "institution", PARTIES),
    Row("signature", "agreement.signed", _C, ("agreement",), ("fingerprint",), "institution", PARTIES),
    Row("signature", "agreement.signed", _R, ("agreement",), ("fingerprint",), "institution"),
    # A node logs a change or an approval only if it counts there, so the coordinator's entry asks for no partner.
    Row(
        "change", "agreement.change", _C, ("agreement",), ("payload_commit",), "institution", PARTIES, demands=False
    ),
    Row("change", "agreement.change", _R, ("agreement",), ("payload_commit",), "institution"),
    Row("approval", "job.approval", _C, ("job",), ("payload_commit",), _FROM_OFFICER, "institution", demands=False),
    Row("approval", "job.approval", _R, ("job",), ("payload_commit",), _FROM_OFFICER),
    Row("offer", "job.submitted", _C, ("job",), ("payload_commit",), _FROM_ANALYST, "parties"),
    Row("offer", "job.submitted", _R, ("job",), ("payload_commit",), _FROM_ANALYST),
    Row("decision", "job.decided", _S, ("job",), ("decision", "policy_hash"), receiver=_FROM_COORDINATOR),
    Row("decision", "job.decided", _C, ("job",), ("decision", "policy_hash"), "institution"),
    Row("letter", "envelope.sealed", _S, ("job", "step"), ("digest",), receiver="peer", retry=_STEP),
    Row("letter", "envelope.relayed", _C, ("job", "step"), ("digest",), "sender", "recipient"),
    Row("letter", "envelope.opened", _R, ("job", "step"), ("digest",), "peer"),
    Row(
        "part", "update.sealed", _S, ("job", "step", "round"), ("digest",), receiver=_FROM_COORDINATOR, retry=_STEP
    ),
    Row("part", "sum.added", _C, ("job", "step", "round"), ("parts",), "institutions"),
    Row("total", "sum.added", _C, ("job",), ("digest",), _FROM_COORDINATOR, "institutions", retry=_STEP),
    Row("total", "sum.opened", _R, ("job",), ("digest",), _FROM_COORDINATOR),
    Row("scores", "scores.returned", _S, ("job",), ("rows", "model"), receiver="peer"),
    Row("scores", "scores.returned", _R, ("job",), ("rows", "model"), "peer"),
    Row("receipt", "job.receipt", _S, ("job",), ("digest",), receiver=_FROM_COORDINATOR),
    Row("receipt", "job.receipt", _C, ("job",), ("digest",), "institution"),
    Row("end", "job.finished", _S, ("job",), receiver=_FROM_COORDINATOR),
    Row("end", "job.finished", _C, ("job",), (), PARTIES),
    Row("failure", "job.failed", _S, ("job",), receiver=_FROM_COORDINATOR),
    Row("failure", "job.failed", _C, ("job",), (), PARTIES, demands=False),
)
_BY_EVENT: Mapping[str, tuple[Row, ...]] = {
    row.event: tuple(other for other in ROWS if other.event == row.event) for row in ROWS
}


def traces(entry: Entry, owner: str) -> Iterator[Trace]:
    """What ``entry`` of the log of institution ``owner`` tells of messages."""
    fields = {**entry.body, **entry.body.get("detail", {})}
    for row in _BY_EVENT.get(entry.type, ()):
        if (row.place is _C) == (owner == COORDINATOR) and (
            row.only is None or fields.get(row.only[0]) == row.only[1]
        ):
            for trace in _traces(row, fields, owner):
                if _belongs(row, trace, owner):
                    yield trace


def _traces(row: Row, fields: Mapping[str, Any], owner: str) -> Iterator[Trace]:
    """One trace for each item of the field that is a list, if one is."""
    senders, receivers = _ends(row.sender, fields, owner), _ends(row.receiver, fields, owner)
    says = [fields.get(name, "") for name in row.says]
    for number in range(max(len(senders), len(receivers))):
        yield Trace(
            row.exchange,
            tuple(str(fields.get(name, "")) for name in row.key),
            senders[number % len(senders)],
            receivers[number % len(receivers)],
            tuple(str(_nth(value, number)) for value in says),
            row.place,
            row.demands,
            tuple(str(fields.get(name, "")) for name in row.retry) if row.retry else (),
        )


def _belongs(row: Row, trace: Trace, owner: str) -> bool:
    """Nobody receives from itself; a sender's row is for what it sends; scores go from A to B."""
    if trace.exchange == "scores" and trace.sender > trace.receiver:
        return False
    if row.place is _S:
        return trace.sender == owner
    return row.place is _C or (trace.receiver == owner and trace.sender != owner)


def _ends(name: str, fields: Mapping[str, Any], owner: str) -> list[str]:
    if not name:
        return [owner]
    if name.startswith("="):
        return [name if name == PARTIES else name[1:]]
    value = fields.get(name, "")
    return [str(item) for item in value] or [""] if isinstance(value, list) else [str(value)]


def _nth(value: Any, number: int) -> Any:
    if not isinstance(value, list):
        return value
    return value[number] if number < len(value) else ""
