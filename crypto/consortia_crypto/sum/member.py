"""An institution in one round of a sealed sum: what it says next, and what it never says. No I/O.

    SHARED ──lists──▶ LISTED ──uploaded──▶ UPLOADED ──set──▶ SIGNED ──certificate──▶ REVEALED ──done──▶ DONE
                                              └─────────set with nobody missing────────▲
    (SHARED … SIGNED ──abort──▶ ABORTED; any ──done──▶ DONE)

The node stores each state before it sends what came with it. Up to SIGNED a round may be given up, and the same
update goes into the next attempt. In REVEALED the update is spent: the coordinator may be about to read a sum with
it, and a second sum over other institutions would show single updates as the difference. A set from which nobody
is missing is signed and opened in one: it asks for no pair secret, so that no certificate is needed before
(docs/adr/0065).

What an institution is trusted for here: to say each thing once. It deals its secrets once per round id, masks one
vector under one list of participants, signs one set, and reveals one share of each other's two secrets. Asked the
same again, it answers the same; asked another, it refuses, and what it says next does not depend on it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from consortia_crypto.errors import SumError
from consortia_crypto.sum import evidence, member_masks, plans
from consortia_crypto.sum.dealing import deal, dealt_to_me
from consortia_crypto.sum.epoch import EpochSecrets, Random
from consortia_crypto.sum.evidence import lied
from consortia_crypto.sum.layout import Blob, Number, Octets, Text
from consortia_crypto.sum.messages import (
    HASH,
    SECRET,
    Certificate,
    Lists,
    Message,
    Revealed,
    SetProposal,
    SetSigned,
    Shared,
    Total,
    Uploaded,
    signed,
)
from consortia_crypto.sum.plans import MaskPlan, OpenPlan
from consortia_crypto.sum.terms import SumPolicy

_MOST = 1 << 16


@dataclass(frozen=True)
class _Record(Message):
    """What a member remembers of its round; messages as their bytes, empty until they were there."""

    MAGIC = b"SSM1"

    step: str
    attempt: int
    policy: bytes
    epoch: bytes
    shared: bytes = b""
    secret: bytes = field(default=b"", repr=False)
    """b_i."""
    shares: bytes = field(default=b"", repr=False)
    """Its own shares of b_i and ρ_i."""
    previous: bytes = b""
    lists: bytes = b""
    upload: bytes = b""
    proposal: bytes = b""

    PARTS = (
        *(Text(), Number(), Octets(HASH), Octets(HASH), Blob(_MOST), Blob(SECRET), Blob(2 * SECRET)),
        *(Blob(HASH), Blob(_MOST), Blob(_MOST), Blob(_MOST)),
    )


@dataclass(frozen=True)
class Member:
    """An institution's state in one attempt at a sum. Secret: its bytes are for the node's own storage."""

    policy: SumPolicy
    epoch: EpochSecrets = field(repr=False)
    record: _Record = field(repr=False)

    @property
    def step(self) -> str:
        """SHARED, LISTED, UPLOADED, SIGNED, REVEALED, DONE or ABORTED."""
        return self.record.step

    @property
    def attempt(self) -> int:
        """Which attempt at the sum this is."""
        return self.record.attempt

    @property
    def rid(self) -> bytes:
        """The id of the round."""
        return bytes.fromhex(self.policy.rid(self.attempt))

    @property
    def upload(self) -> str:
        """The SHA-256 of the vector that it signed and may send; empty if there is none, or it is spent."""
        return Uploaded.from_bytes(self.record.upload).digest.hex() if self.step in ("UPLOADED", "SIGNED") else ""

    @property
    def spent(self) -> bool:
        """Whether the update may be in a sum that the coordinator can read, so that it must go into no other."""
        return self.step in ("REVEALED", "DONE")

    @cached_property
    def lists(self) -> Lists:
        """U1, as the coordinator showed it."""
        return Lists.from_bytes(self.record.lists)

    @cached_property
    def ctx(self) -> bytes:
        """What the keys of the round are derived from."""
        digests = {name: listed.digest for name, listed in self.lists.listed.items()}
        return plans.context(self.policy, self.epoch.roster_hash, self.record.previous, self.rid, digests)

    def to_bytes(self) -> bytes:
        """What the node stores; the policy and the epoch's secrets it has elsewhere."""
        return self.record.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes, policy: SumPolicy, epoch: EpochSecrets) -> "Member":
        """The state that was stored for this policy and epoch. Raises SumError for any other."""
        record = _Record.from_bytes(data)
        if (record.policy, record.epoch) != (bytes.fromhex(policy.digest()), epoch.roster_hash):
            raise _misused("the stored state is of another sum or epoch")
        return cls(policy, epoch, record)


@dataclass(frozen=True)
class _Listing:
    """Event: the coordinator showed U1; ``previous`` is what this institution holds of the totals before."""

    lists: Lists
    previous: bytes


@dataclass(frozen=True)
class _Upload:
    """Event: the vector is masked and stored."""

    digest: bytes
    tag: int


@dataclass(frozen=True)
class _Abort:
    """Event: the attempt is given up."""


@dataclass(frozen=True)
class _Done:
    """Event: the total is open."""


def share(
    policy: SumPolicy, attempt: int, epoch: EpochSecrets, random: Random, before: Member | None
) -> tuple[Member, Shared]:
    """Deal the round's secrets. The caller has compared the coordinator's offer (terms.check_offer).

    ``before`` is what the node has stored of this session, None if nothing: a spent update and an attempt that is
    not a later one are refused, and the earlier attempt is given up. Raises SumError.
    """
    if epoch.roster != policy.roster:
        raise _misused("the epoch's keys are those of another roster")
    if before is not None:
        if before.policy.session != policy.session or before.spent or attempt < before.attempt:
            raise lied(f"attempt {attempt} was asked for after attempt {before.attempt} was {before.step}")
        if attempt == before.attempt:
            _require(before, ("SHARED",), "the offer")
            return before, Shared.from_bytes(before.record.shared)
    message, secret, shares = deal(policy, bytes.fromhex(policy.rid(attempt)), epoch, random)
    record = _Record("SHARED", attempt, message.policy, message.epoch, message.to_bytes(), secret, shares)
    return Member(policy, epoch, record), message


def lists(state: Member, message: Lists, previous: str) -> tuple[Member, MaskPlan]:
    """Accept U1 and say which masks go on the vector. ``previous``: 64 hexadecimal digits for the totals before.

    Raises SumError, naming whose signature or share is wrong.
    """
    state = _advanced(state, _Listing(message, bytes.fromhex(previous)))
    return state, member_masks.mask_plan(
        state.policy, state.epoch, state.rid, state.ctx, state.lists.listed, state.record.secret
    )


def uploaded(state: Member, digest: str, tag: int) -> tuple[Member, Uploaded]:
    """The vector is masked: its ``digest`` as opening.seal gives it, and its masked ``tag``. Raises SumError."""
    state = _advanced(state, _Upload(bytes.fromhex(digest), tag))
    return state, Uploaded.from_bytes(state.record.upload)


def set_proposed(state: Member, proposal: SetProposal) -> tuple[Member, SetSigned, Revealed | None]:
    """Sign U2, one set per round; if it is all of U1, the shares that open the sum go with the signature.

    Raises SumError for a second one, too small a set, or one with another upload.
    """
    state = _advanced(state, proposal)
    message = signed(SetSigned(state.epoch.me, proposal.ctx, proposal.hash()), state.epoch.round_seed)
    return state, message, _revealed(state, proposal) if state.spent else None


def certificate(state: Member, message: Certificate) -> tuple[Member, Revealed]:
    """Give the shares that open the sum over the set that at least t have signed. Raises SumError."""
    state = _advanced(state, message)
    return state, _revealed(state, message.proposal)


def abort(state: Member) -> Member:
    """Give the attempt up and forget its secrets. Raises SumError from REVEALED on."""
    return _advanced(state, _Abort())


def done(state: Member) -> Member:
    """The total is open here, also of a round that this institution dropped out of: the sum is over for it."""
    return _advanced(state, _Done())


def opening(policy: SumPolicy, epoch: EpochSecrets, previous: str, total: Total, state: Member | None) -> OpenPlan:
    """How to open ``total``, also for an institution that dropped out of its round.

    ``state`` is what the node has stored of this session, None if nothing. Raises SumError if the total is not of
    the round, set or upload that this institution took part with.
    """
    plan = member_masks.open_plan(policy, epoch, bytes.fromhex(previous), total)
    if state is not None:
        _check_own(state, total)
    return plan


def _on_lists(state: Member, event: _Listing) -> _Record:
    message = event.lists
    if message.rid != state.rid:
        raise lied("the list of participants belongs to another round")
    evidence.check_participants(state.policy, state.rid, message.listed, state.epoch.round_keys)
    mine = message.listed.get(state.epoch.me)
    if mine is None or mine.digest != Shared.from_bytes(state.record.shared).digest():
        raise lied("the list of participants has not what this institution sent")
    for name in message.listed:
        _shares_of(state, message, name)
    return replace(state.record, step="LISTED", previous=event.previous, lists=message.to_bytes())


def _on_lists_again(state: Member, event: _Listing) -> _Record:
    if (event.lists.to_bytes(), event.previous) != (state.record.lists, state.record.previous):
        raise lied("two lists of participants were shown for one round")
    return state.record


def _on_upload(state: Member, event: _Upload) -> _Record:
    message = signed(Uploaded(state.epoch.me, state.ctx, event.digest, event.tag), state.epoch.round_seed)
    return replace(state.record, step="UPLOADED", upload=message.to_bytes())


def _on_upload_again(state: Member, event: _Upload) -> _Record:
    before = Uploaded.from_bytes(state.record.upload)
    if (event.digest, event.tag) != (before.digest, before.tag):
        raise _misused("a second vector was masked with the same masks")
    return state.record


def _on_proposal(state: Member, event: SetProposal) -> _Record:
    evidence.check_proposal(state.policy, state.ctx, state.lists.listed, event)
    if event.uploads.get(state.epoch.me) != Uploaded.from_bytes(state.record.upload).hash():
        raise lied("the set of summands has not what this institution uploaded")
    step = "REVEALED" if evidence.is_whole(state.lists.listed, event) else "SIGNED"
    return replace(state.record, step=step, proposal=event.to_bytes())


def _on_proposal_again(state: Member, event: SetProposal) -> _Record:
    if event.to_bytes() != state.record.proposal:
        raise lied("two sets of summands were proposed for one round")
    return state.record


def _on_certificate(state: Member, event: Certificate) -> _Record:
    if event.proposal.to_bytes() != state.record.proposal:
        raise lied("the certificate is for another set of summands than this institution signed")
    evidence.check_certificate(state.policy, state.ctx, state.lists.listed, event, state.epoch.round_keys)
    return replace(state.record, step="REVEALED")


def _on_abort(state: Member, _: _Abort) -> _Record:
    return _Record("ABORTED", state.attempt, state.record.policy, state.record.epoch)


def _on_done(state: Member, _: _Done) -> _Record:
    return replace(state.record, step="DONE", shared=b"", secret=b"", shares=b"", lists=b"")


_UNSPENT = ("SHARED", "LISTED", "UPLOADED", "SIGNED")
_TABLE: Mapping[tuple[str, type[Any]], Callable[[Member, Any], _Record]] = {
    ("SHARED", _Listing): _on_lists,
    ("LISTED", _Listing): _on_lists_again,
    ("LISTED", _Upload): _on_upload,
    ("UPLOADED", _Upload): _on_upload_again,
    ("UPLOADED", SetProposal): _on_proposal,
    ("SIGNED", SetProposal): _on_proposal_again,
    ("REVEALED", SetProposal): _on_proposal_again,
    ("SIGNED", Certificate): _on_certificate,
    ("REVEALED", Certificate): _on_certificate,
    **{(step, _Abort): _on_abort for step in _UNSPENT},
    **{(step, _Done): _on_done for step in (*_UNSPENT, "REVEALED", "DONE", "ABORTED")},
}


def _advanced(state: Member, event: Any) -> Member:
    handler = _TABLE.get((state.step, type(event)))
    if handler is None:
        raise lied(f"a {type(event).__name__.strip('_')} does not follow {state.step} in a round")
    return replace(state, record=handler(state, event))


def _revealed(state: Member, proposal: SetProposal) -> Revealed:
    lists, summed = state.lists, proposal.uploads
    dealt = {name: _shares_of(state, lists, name) for name in lists.listed}
    reveal = Revealed(
        state.epoch.me,
        state.ctx,
        {name: own for name, (own, _) in dealt.items() if name in summed},
        {name: pair for name, (_, pair) in dealt.items() if name not in summed},
    )
    return signed(reveal, state.epoch.round_seed)


def _shares_of(state: Member, message: Lists, name: str) -> tuple[bytes, bytes]:
    """This institution's shares of ``name``'s b and ρ. Raises SumError."""
    if name == state.epoch.me:
        return state.record.shares[:SECRET], state.record.shares[SECRET:]
    return dealt_to_me(state.epoch, state.rid, name, message.listed[name])


def _check_own(state: Member, total: Total) -> None:
    """Return if ``total`` is of the round that this institution knows, as far as it got in it."""
    if state.spent and total.attempt != state.attempt:
        raise lied("a total came of another attempt than the one that this institution's update went into")
    if state.attempt != total.attempt:
        return
    if state.record.proposal and total.certificate.proposal.to_bytes() != state.record.proposal:
        raise lied("a total came of another set of summands than this institution signed")
    if state.record.lists and state.ctx != total.certificate.proposal.ctx:
        raise lied("a total came of another list of participants than this institution was shown")
    counted = total.certificate.proposal.uploads.get(state.epoch.me)
    mine = Uploaded.from_bytes(state.record.upload).hash() if state.record.upload else None
    if counted is not None and (state.step in ("SHARED", "LISTED") or mine not in (None, counted)):
        raise lied("a total came with another upload than this institution sent")


def _require(state: Member, steps: tuple[str, ...], what: str) -> None:
    if state.step not in steps:
        raise lied(f"{what} does not follow {state.step} in a round")


def _misused(why: str) -> SumError:
    return SumError(
        f"a sealed sum was stopped: {why}",
        blame="this institution's node",
        remedy="report it: the node must store each state before it sends, and give back what it stored",
    )
