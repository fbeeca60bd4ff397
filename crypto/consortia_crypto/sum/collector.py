"""The coordinator in one round of a sealed sum: whom it waits for, what it passes on, what it takes off. No I/O.

    SHARING ──close──▶ UPLOADING ──close──▶ SETTING ──close──▶ REVEALING ──close──▶ SUMMED
        └──────────────────┴───────abort───────┴──────────────────┴──▶ ABORTED

In each step institutions answer in any order; the caller closes the step when all that still take part have
answered, or when it has waited long enough. Closing with fewer than t raises SumError with the names, and the
caller aborts and takes the next attempt. From REVEALING on there is none, since updates are spent then; nor from
SETTING on if the set ``is_whole``, because who signs it reveals with it.

It holds no key of the institutions and is trusted for nothing but being there. It checks what it can, so that the
one who is at fault is named before the sum fails at the institutions. What it can't see is a wrong vector.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from consortia_crypto.errors import SumError
from consortia_crypto.sum import plans, rebuild
from consortia_crypto.sum import tag as tags
from consortia_crypto.sum.epoch_messages import KeyDocument, roster_hash
from consortia_crypto.sum.evidence import in_roster_order
from consortia_crypto.sum.layout import Blob, Number, Octets, Table, Text
from consortia_crypto.sum.messages import (
    HASH,
    Certificate,
    Head,
    Listed,
    Lists,
    Message,
    Revealed,
    SetProposal,
    SetSigned,
    Shared,
    Total,
    Uploaded,
    check_signature,
)
from consortia_crypto.sum.plans import RemovePlan
from consortia_crypto.sum.terms import SumPolicy

_MOST = 1 << 16
_Said = TypeVar("_Said", Shared, Uploaded, SetSigned, Revealed)


@dataclass(frozen=True)
class _Record(Message):
    """What the coordinator remembers of a round: the messages of each step, by sender, as their bytes."""

    MAGIC = b"SSK1"

    step: str
    attempt: int
    policy: bytes
    epoch: bytes
    previous: bytes
    ctx: bytes = b""
    """Once U1 is settled."""
    shared: Mapping[str, bytes] = field(default_factory=dict)
    uploaded: Mapping[str, bytes] = field(default_factory=dict)
    signed: Mapping[str, bytes] = field(default_factory=dict)
    revealed: Mapping[str, bytes] = field(default_factory=dict)
    tag: int = 0

    PARTS = (
        *(Text(), Number(), Octets(HASH), Octets(HASH), Octets(HASH), Blob(HASH)),
        *(Table(Blob(_MOST)), Table(Blob(_MOST)), Table(Blob(_MOST)), Table(Blob(_MOST)), Number(tags.P)),
    )


@dataclass(frozen=True)
class Collector:
    """The coordinator's state in one attempt at a sum. Its bytes hold nothing that it may not know."""

    policy: SumPolicy
    keys: Mapping[str, bytes]
    """The round key of each institution."""
    record: _Record

    @property
    def step(self) -> str:
        """SHARING, UPLOADING, SETTING, REVEALING, SUMMED or ABORTED."""
        return self.record.step

    @property
    def attempt(self) -> int:
        """Which attempt at the sum this is."""
        return self.record.attempt

    @property
    def rid(self) -> bytes:
        """The id of the round."""
        return bytes.fromhex(self.policy.rid(self.attempt))

    def to_bytes(self) -> bytes:
        """What the coordinator stores; the policy and the key documents it has elsewhere."""
        return self.record.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes, policy: SumPolicy, documents: Mapping[str, KeyDocument]) -> "Collector":
        """The state that was stored for this policy and epoch. Raises SumError for any other."""
        record = _Record.from_bytes(data)
        fresh = start(policy, record.attempt, documents, record.previous.hex())
        if (record.policy, record.epoch) != (fresh.record.policy, fresh.record.epoch):
            raise _refused("the stored state is of another sum or epoch", "this coordinator")
        return replace(fresh, record=record)


def start(policy: SumPolicy, attempt: int, documents: Mapping[str, KeyDocument], previous: str) -> Collector:
    """A round in SHARING. ``documents`` are the epoch's; ``previous`` is what institutions were told too."""
    keys = {name: documents[name].ed25519 for name in policy.roster}
    record = _Record(
        "SHARING",
        attempt,
        bytes.fromhex(policy.digest()),
        roster_hash(policy.roster, documents),
        bytes.fromhex(previous),
    )
    return Collector(policy, keys, record)


def shared(state: Collector, message: Shared) -> Collector:
    """Take an R1. Raises SumError, naming its sender, for one that is not of this round or does not fit."""
    return _taken(state, message)


def close_sharing(state: Collector) -> tuple[Collector, dict[str, Lists]]:
    """U1 is who has sent an R1: what to tell each of them. Raises SumError if they are fewer than t."""
    state = _closed(state, "SHARING", "UPLOADING")
    messages = _said(state, Shared)
    digests = {name: message.digest() for name, message in messages.items()}
    ctx = plans.context(state.policy, state.record.epoch, state.record.previous, state.rid, digests)
    state = replace(state, record=replace(state.record, ctx=ctx))
    return state, {name: _lists_for(state, name, messages, digests) for name in messages}


def uploaded(state: Collector, message: Uploaded, received: str) -> Collector:
    """Take an R2, whose vector is here and has the SHA-256 ``received``. Raises SumError, naming its sender."""
    if message.digest.hex() != received:
        raise _refused(f"the vector that came from {message.sender} is not the one that it signed", message.sender)
    return _taken(state, message)


def close_uploading(state: Collector) -> tuple[Collector, SetProposal]:
    """U2 is who has uploaded: what to propose to each of them. Raises SumError if they are fewer than t."""
    state = _closed(state, "UPLOADING", "SETTING")
    return state, _proposal(state)


def is_whole(state: Collector) -> bool:
    """Whether everybody of U1 has uploaded, so that R3 and R4 come in one."""
    return state.step != "SHARING" and not _dropped(state)


def signed(state: Collector, message: SetSigned) -> Collector:
    """Take an R3. Raises SumError, naming its sender, for a signature on anything but the proposed set."""
    return _taken(state, message)


def close_setting(state: Collector) -> tuple[Collector, Certificate]:
    """The certificate that opens the sum, for each of U2. Raises SumError if fewer than t have signed."""
    state = _closed(state, "SETTING", "REVEALING")
    return state, _certificate(state)


def revealed(state: Collector, message: Revealed) -> Collector:
    """Take an R4. Raises SumError, naming its sender, for shares of others than the set asks for."""
    return _taken(state, message)


def close_revealing(state: Collector) -> tuple[Collector, RemovePlan]:
    """What to take off the added uploads of U2. Raises SumError if a secret can't be rebuilt, naming why.

    It may be tried again after more R4s. Called again in SUMMED, it gives the same plan.
    """
    if state.step != "SUMMED":
        state = _closed(state, "REVEALING", "SUMMED")
    masks, tag_masks = plans.split(
        rebuild.to_remove(
            state.policy,
            state.rid,
            state.record.ctx,
            _said(state, Shared),
            _names(state, "uploaded"),
            _said(state, Revealed),
        )
    )
    tag = sum(message.tag for message in _said(state, Uploaded).values())
    record = replace(state.record, tag=tags.shift(tag % tags.P, tag_masks))
    return replace(state, record=record), RemovePlan(masks)


def total(state: Collector) -> Total:
    """R5, which goes with the vector Z to every institution, also to those that dropped out."""
    if state.step != "SUMMED":
        raise _refused(f"there is no total in {state.step}", "this coordinator")
    heads = {name: Head(message.digest(), message.signature) for name, message in _said(state, Shared).items()}
    return Total(state.attempt, state.record.tag, heads, _certificate(state))


def missing(state: Collector) -> tuple[str, ...]:
    """Who could still answer in this step and has not."""
    if state.step not in _ASKED:
        return ()
    asked, said = _ASKED[state.step]
    return tuple(name for name in _names(state, asked) if name not in _names(state, said))


def enough(state: Collector) -> bool:
    """Whether the step could be closed with those who have answered."""
    return state.step in _ASKED and len(_names(state, _ASKED[state.step][1])) >= state.policy.threshold


def abort(state: Collector) -> Collector:
    """Give the attempt up; its messages are forgotten."""
    record = state.record
    return replace(state, record=_Record("ABORTED", state.attempt, record.policy, record.epoch, record.previous))


def _fits_sharing(state: Collector, message: Shared) -> bool:
    same = (message.rid, message.policy, message.epoch) == (state.rid, state.record.policy, state.record.epoch)
    return same and set(message.dealt) == set(state.policy.roster) - {message.sender}


def _fits_uploading(state: Collector, message: Uploaded) -> bool:
    return message.ctx == state.record.ctx


def _fits_setting(state: Collector, message: SetSigned) -> bool:
    proposal = _proposal(state)
    return (message.ctx, message.set_hash) == (proposal.ctx, proposal.hash())


def _fits_revealing(state: Collector, message: Revealed) -> bool:
    revealed = (set(message.self_shares), set(message.pair_shares))
    return message.ctx == state.record.ctx and revealed == (set(state.record.uploaded), _dropped(state))


_TABLE: Mapping[tuple[str, type[Any]], Callable[[Collector, Any], bool]] = {
    ("SHARING", Shared): _fits_sharing,
    ("UPLOADING", Uploaded): _fits_uploading,
    ("SETTING", SetSigned): _fits_setting,
    ("REVEALING", Revealed): _fits_revealing,
}
"""Which message belongs to which step, and what it must fit."""

_ASKED: Mapping[str, tuple[str, str]] = {
    "SHARING": ("roster", "shared"),
    "UPLOADING": ("shared", "uploaded"),
    "SETTING": ("uploaded", "signed"),
    "REVEALING": ("signed", "revealed"),
}
"""Who is asked in a step, and who has answered: the roster, or the senders that the record names."""


def _names(state: Collector, which: str) -> tuple[str, ...]:
    found: Collection[str] = state.policy.roster if which == "roster" else getattr(state.record, which)
    return in_roster_order(state.policy, found)


def _taken(state: Collector, message: _Said) -> Collector:
    name, kind = message.sender, type(message).__name__
    fits = _TABLE.get((state.step, type(message)))
    if fits is None:
        raise _refused(f"{name} sent a {kind} message in {state.step}: too early or too late", name)
    asked, said = _ASKED[state.step]
    if name not in _names(state, asked):
        raise _refused(f"{name} sent a {kind} message without being asked", name)
    check_signature(message, state.keys[name])
    if not fits(state, message):
        raise _refused(f"the {kind} message of {name} does not fit this round", name)
    before: Mapping[str, bytes] = getattr(state.record, said)
    data = message.to_bytes()
    if before.get(name, data) != data:
        raise _refused(f"{name} sent two different {kind} messages", name)
    changed: dict[str, Any] = {said: {**before, name: data}}
    return replace(state, record=replace(state.record, **changed))


def _closed(state: Collector, step: str, following: str) -> Collector:
    if state.step != step:
        raise _refused(f"{step} can't be closed in {state.step}", "this coordinator")
    if not enough(state):
        names = ", ".join(missing(state)) or "nobody"
        there = len(_names(state, _ASKED[step][1]))
        raise _refused(
            f"{step} has {there} of {state.policy.threshold} institutions; {names} did not answer", names
        )
    return replace(state, record=replace(state.record, step=following))


def _lists_for(
    state: Collector, reader: str, messages: Mapping[str, Shared], digests: Mapping[str, bytes]
) -> Lists:
    return Lists(
        state.rid,
        {
            name: Listed(
                digests[name],
                message.signature,
                message.nonce,
                None if name == reader else message.dealt[reader].sealed,
            )
            for name, message in messages.items()
        },
    )


def _proposal(state: Collector) -> SetProposal:
    return SetProposal(state.record.ctx, {name: said.hash() for name, said in _said(state, Uploaded).items()})


def _certificate(state: Collector) -> Certificate:
    return Certificate(_proposal(state), {name: said.signature for name, said in _said(state, SetSigned).items()})


def _dropped(state: Collector) -> set[str]:
    return set(state.record.shared) - set(state.record.uploaded)


def _said(state: Collector, kind: type[_Said]) -> dict[str, _Said]:
    """The messages of a kind, by sender."""
    data: Mapping[str, bytes] = getattr(state.record, kind.__name__.lower() if kind is not SetSigned else "signed")
    return {name: kind.from_bytes(said) for name, said in data.items()}


def _refused(why: str, who: str) -> SumError:
    return SumError(
        f"a sealed sum stopped at the coordinator: {why}",
        blame=who,
        remedy="ask them what happened; unless shares were revealed, take another attempt",
    )
