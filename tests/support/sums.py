"""A sealed sum in memory: institutions, a coordinator between them, and a hook through which it may cheat.

Every message passes ``twist(name, message)``, with the institution that sends or gets it, and goes on as what comes
back; None is a message that is lost. Vectors pass it as numpy arrays of bytes. Every state goes through its bytes
after every step, as at a node or coordinator that was started again.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_crypto.errors import CryptoError
from consortia_crypto.keys import PrivateIdentity
from consortia_crypto.sum import collector, epoch, lattice_secret, masking, member, opening
from consortia_crypto.sum.collector import Collector
from consortia_crypto.sum.epoch import Epoch, EpochSecrets
from consortia_crypto.sum.epoch_messages import KeyDocument
from consortia_crypto.sum.lattice import collector_group
from consortia_crypto.sum.member import Member
from consortia_crypto.sum.messages import Revealed, Total
from consortia_crypto.sum.plans import MaskPlan, OpenPlan
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.vector import MemoryVector

Twist = Callable[[str, Any], Any]
Values = NDArray[np.int64]
SESSION = "job-1/spec"
PREVIOUS = "00" * 32


def honest(_: str, message: Any) -> Any:
    """A twist that changes nothing."""
    return message


def roster(institutions: int) -> tuple[str, ...]:
    """bank-00, bank-01, …"""
    return tuple(f"bank-{number:02}" for number in range(institutions))


@cache
def identity(name: str) -> PrivateIdentity:
    """The enrolled identity of an institution, made once for all tests."""
    return PrivateIdentity.generate("consortia.demo", name, "node", name)


@cache
def bfv_secret() -> bytes:
    """One BFV secret for all tests."""
    return lattice_secret.new_secret()


@dataclass(frozen=True)
class Keys:
    """What an epoch left behind: each institution's secrets, and what the coordinator has."""

    secrets: Mapping[str, EpochSecrets]
    documents: Mapping[str, KeyDocument]


def agree(names: tuple[str, ...], attachment: bytes = b"", twist: Twist = honest, session: str = SESSION) -> Keys:
    """Play an epoch. Raises SumError as the first institution that refuses it does."""
    states: dict[str, Epoch] = {}
    documents: dict[str, KeyDocument] = {}
    for name in names:
        brought = attachment if name == names[0] else b""
        states[name], document = epoch.begin(session, names, name, identity(name), os.urandom, brought)
        documents[name] = twist(name, document)
    identities = {name: identity(name).public for name in names}
    letters: dict[str, dict[str, Any]] = {name: {} for name in names}
    for name in names:
        shown = {other: twist(f"{other}>{name}", document) for other, document in documents.items()}
        states[name], sealed = epoch.seed(_stored(states[name]), shown, identities)
        for other, letter in sealed.items():
            letters[other][name] = twist(name, letter)
    confirms = {}
    for name in names:
        states[name], confirmed = epoch.join(_stored(states[name]), letters[name])
        confirms[name] = twist(name, confirmed)
    secrets = {name: epoch.confirm(_stored(states[name]), confirms) for name in names}
    return Keys({name: EpochSecrets.from_bytes(one.to_bytes()) for name, one in secrets.items()}, documents)


def keys_of(names: tuple[str, ...], *, lattice: bool = False) -> Keys:
    """An epoch's keys, agreed once for all tests with this roster."""
    return _agreed(names, lattice)


@cache
def _agreed(names: tuple[str, ...], lattice: bool) -> Keys:
    return agree(names, bfv_secret() if lattice else b"")


@dataclass
class Sum:
    """One attempt at a sum, which ``run`` plays."""

    policy: SumPolicy
    values: Mapping[str, Values]
    attempt: int = 1
    twist: Twist = honest
    previous: str = PREVIOUS
    before: Mapping[str, Member] = field(default_factory=dict)
    refusals: dict[str, CryptoError] = field(default_factory=dict)
    """What institutions refused to hear or say."""
    faults: dict[str, CryptoError] = field(default_factory=dict)
    """Whose answers the coordinator refused; it goes on without them."""
    members: dict[str, Member] = field(default_factory=dict)
    plans: dict[str, MaskPlan] = field(default_factory=dict)
    uploads: dict[str, MemoryVector] = field(default_factory=dict)
    said_at_once: dict[str, Revealed] = field(default_factory=dict)
    """What institutions revealed when they signed."""
    opened: dict[str, Values] = field(default_factory=dict)
    seen: list[tuple[str, Any]] = field(default_factory=list)
    """All that the coordinator got or said, with the institution at the other end."""

    def __post_init__(self) -> None:
        lattice = self.policy.engine == "lattice"
        self.keys = keys_of(self.policy.roster, lattice=lattice)
        public = lattice_secret.public_part(bfv_secret()) if lattice else None
        self.group = collector_group(self.policy, public, self.policy.roster[0])
        self.member_group = lattice_secret.member_group(self.policy, bfv_secret() if lattice else None)
        self.collector = collector.start(self.policy, self.attempt, self.keys.documents, self.previous)

    def run(self) -> dict[str, Values]:
        """What each institution that stayed opened. Raises SumError if the coordinator can't go on."""
        self.share()
        self.upload()
        self.agree_on_set()
        self.reveal()
        self.open()
        return self.opened

    def share(self) -> None:
        """R1."""
        for name in self.policy.roster:
            answer = self._tell(name, partial(self._shared, name))
            self._hear(name, collector.shared, answer)

    def upload(self) -> None:
        """The lists, and R2 with the vectors."""
        state, lists = collector.close_sharing(self.collector)
        self._collect(state)
        for name, message in lists.items():
            answer = self._say(name, message, partial(self._uploaded, name))
            sent = self._pass(name, self.uploads[name].data.copy()) if name in self.uploads else None
            if sent is not None:
                self.uploads[name] = MemoryVector(sent)
                digest = hashlib.sha256(sent.tobytes()).hexdigest()
                self._hear(name, partial(collector.uploaded, received=digest), answer)

    def agree_on_set(self) -> None:
        """R3."""
        state, proposal = collector.close_uploading(self.collector)
        self._collect(state)
        for name in proposal.uploads:
            answer = self._say(name, proposal, partial(self._signed, name))
            self._hear(name, collector.signed, answer)

    def reveal(self) -> None:
        """R4, also of those who said it with R3."""
        asked = tuple(self.collector.record.signed)
        state, certificate = collector.close_setting(self.collector)
        self._collect(state)
        for name in asked:
            if name in self.said_at_once:
                answer = self._pass(name, self.said_at_once[name])
            else:
                answer = self._say(name, certificate, partial(self._revealed, name))
            self._hear(name, collector.revealed, answer)

    def open(self) -> None:
        """R5: everybody opens the total, those that dropped out too."""
        self.deliver(*self.total())

    def total(self) -> tuple[Total, NDArray[np.uint8]]:
        """The uploads of U2 added, without all masks but the pads; and what is said with it."""
        added = tuple(self.collector.record.uploaded)
        state, plan = collector.close_revealing(self.collector)
        self._collect(state)
        raw = self.added(added)
        masking.adjust(self.group, raw, plan.masks, raw)
        return collector.total(self.collector), raw.data

    def deliver(self, total: Total, data: NDArray[np.uint8]) -> None:
        """Show everybody this total."""
        for name in self.policy.roster:
            vector = self._pass(name, data.copy())
            if vector is not None:
                self._say(name, total, partial(self._opened, name, vector))

    def added(self, names: Sequence[str]) -> MemoryVector:
        """The sum of these uploads, with all that masks it."""
        raw = MemoryVector.zeros(self.group.wire.size)
        for number, name in enumerate(names):
            masking.accumulate(self.group, raw, self.uploads[name], name, first=number == 0)
        return raw

    def _shared(self, name: str) -> Any:
        before = self.before.get(name)
        state, message = member.share(self.policy, self.attempt, self.keys.secrets[name], os.urandom, before)
        self.members[name] = self._reread(state)
        return message

    def _uploaded(self, name: str, lists: Any) -> Any:
        state, plan = member.lists(self.members[name], lists, self.previous)
        self.members[name] = state = self._reread(state)
        self.plans[name] = plan
        self.uploads[name] = MemoryVector.zeros(self.member_group.wire.size)
        values = MemoryVector(self.member_group.values.octets(self.values[name]))
        digest, tag = opening.seal(self.policy, self.member_group, values, self.uploads[name], plan)
        state, message = member.uploaded(state, digest, tag)
        self.members[name] = self._reread(state)
        return message

    def _opened(self, name: str, vector: Any, total: Any) -> None:
        plan = self.plan_to_open(name, total)
        sink = MemoryVector.zeros(self.member_group.values.size)
        opening.open_total(self.member_group, MemoryVector(vector), sink, plan)
        self.opened[name] = self.member_group.values.integers(sink.data).astype(np.int64)
        self.members[name] = member.done(self.members[name])

    def plan_to_open(self, name: str, total: Any) -> OpenPlan:
        """How ``name`` opens a total."""
        return member.opening(self.policy, self.keys.secrets[name], self.previous, total, self.members.get(name))

    def _signed(self, name: str, proposal: Any) -> Any:
        state, message, revealed = member.set_proposed(self.members[name], proposal)
        self.members[name] = self._reread(state)
        if revealed is not None:
            self.said_at_once[name] = revealed
        return message

    def _revealed(self, name: str, certificate: Any) -> Any:
        state, message = member.certificate(self.members[name], certificate)
        self.members[name] = self._reread(state)
        return message

    def _say(self, name: str, message: Any, hear: Callable[[Any], Any]) -> Any:
        shown = self._pass(name, message)
        return None if shown is None else self._tell(name, partial(hear, shown))

    def _tell(self, name: str, answer: Callable[[], Any]) -> Any:
        try:
            return self._pass(name, answer())
        except CryptoError as error:
            self.refusals[name] = error
            return None

    def _pass(self, name: str, message: Any) -> Any:
        """What arrives of a message on its way; it travels as bytes."""
        arrived = None if message is None else self.twist(name, message)
        if arrived is None:
            return None
        if not isinstance(arrived, np.ndarray):
            arrived = type(arrived).from_bytes(arrived.to_bytes())
        self.seen.append((name, arrived))
        return arrived

    def _hear(self, name: str, take: Callable[..., Collector], answer: Any) -> None:
        """The coordinator takes an answer, or does without it."""
        if answer is None:
            return
        try:
            self._collect(take(self.collector, answer))
        except CryptoError as error:
            self.faults[name] = error

    def _collect(self, state: Collector) -> None:
        self.collector = Collector.from_bytes(state.to_bytes(), self.policy, self.keys.documents)

    def _reread(self, state: Member) -> Member:
        return Member.from_bytes(state.to_bytes(), state.policy, state.epoch)


def lost(when: Mapping[str, type[Any]]) -> Twist:
    """Each institution of ``when`` drops out before it says this kind of message."""
    gone: set[str] = set()

    def twist(name: str, message: Any) -> Any:
        if name in when and isinstance(message, when[name]):
            gone.add(name)
        return None if name in gone else message

    return twist


def changed(kind: type[Any], names: Collection[str], change: Callable[[Any], Any]) -> Twist:
    """Alter what is said of this kind to or by these institutions."""
    return lambda name, message: change(message) if isinstance(message, kind) and name in names else message


def without(table: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """``table`` but for these names."""
    return {name: entry for name, entry in table.items() if name not in names}


def both(first: Twist, second: Twist) -> Twist:
    """The one twist after the other."""

    def twist(name: str, message: Any) -> Any:
        message = first(name, message)
        return None if message is None else second(name, message)

    return twist


def random_values(policy: SumPolicy, seed: int) -> dict[str, Values]:
    """A vector for each of the roster, anywhere within the limit."""
    drawn = np.random.default_rng(seed)
    return {
        name: drawn.integers(-policy.limit, policy.limit, policy.length, endpoint=True) for name in policy.roster
    }


def _stored(state: Epoch) -> Epoch:
    return Epoch.from_bytes(state.to_bytes())
