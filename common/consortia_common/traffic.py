"""PURE: how many bytes a job takes through the coordinator, to and from each party, if nobody drops out.

A function of the spec and of how many rows it finds: each message is made as it will travel, with nothing in it,
and measured, so that the estimate follows the protocol; vectors are counted, not made. Not trusted for anything but
planning: what a job really took, the coordinator counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from consortia_common.content import Content
from consortia_common.documents.jobspec import CONCLUDE, EPOCH, JobSpec, Submission
from consortia_common.documents.kinds import Turn
from consortia_common.documents.receipt import CohortUsed, Receipt, SumsUsed, Took
from consortia_common.sealed import BATCH, BEFORE, BEHIND, STEPS, policy_of, reporters, riding, shared_together
from consortia_crypto import canonical
from consortia_crypto.keys import SIGNATURE_LENGTH, PublicIdentity
from consortia_crypto.sum import messages as sums
from consortia_crypto.sum.epoch_messages import Confirmed, KeyDocument, Letter
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.vector import Layout
from consortia_crypto.sum.wire import PARAMETERS, wire_layout
from consortia_proto.v1 import exchange_pb2

ENVELOPE = 1120 + 16 + SIGNATURE_LENGTH + 150
"""What an envelope adds to its content: the KEM's ciphertext, the seal, a signature, and for whom it is."""
_EPOCH_LETTER = 1120 + 16 + 80
_LATTICE_CONTEXT, _LATTICE_SECRET = 124_800, 187_000
"""Of the engine "lattice": what the first party publishes once, and what it seals to each other one."""
_HASH, _HASHED, _SIGNED = "0" * 64, bytes(32), bytes(64)
_JOB = "job-" + "0" * 16


@dataclass(frozen=True)
class Traffic:
    """Bytes from a party (up) and to it (down)."""

    up: int
    down: int

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(self.up + other.up, self.down + other.down)


@dataclass(frozen=True)
class _Exchange:
    """A task and its answer; ``up`` and ``down`` are bytes of vectors and letters beside what is ``said``."""

    step: str
    asked: Mapping[str, Any] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)
    up: int = 0
    down: int = 0
    times: int = 1

    def traffic(self, party: str) -> Traffic:
        """Of the whole exchange with ``party``."""
        task_id = f"{_JOB}/{self.step}/0/{party}"
        asked, said = Content(config=dict(self.asked)).to_proto(), Content(config=dict(self.said)).to_proto()
        task = exchange_pb2.Task(task_id=task_id, job_id=_JOB, step=self.step, round=1, content=asked)
        reply = exchange_pb2.Reply(task_id=task_id, job_id=_JOB, content=said)
        return Traffic(
            self.times * (reply.ByteSize() + self.up),
            self.times * (task.ByteSize() + self.down),
        )


def traffic(spec: JobSpec, rows: Mapping[str, int]) -> dict[str, Traffic]:
    """What each party sends and gets; ``rows`` are how many each party has with consent, as far as known."""
    counted = before_receipts(spec, rows)
    return {party: counted[party] + _close(spec, party).traffic(party) for party in spec.parties}


def before_receipts(spec: JobSpec, rows: Mapping[str, int]) -> dict[str, Traffic]:
    """Likewise, without the last exchange, which fetches the receipts."""
    return {
        party: sum(
            (exchange.traffic(party) for exchange in _exchanges(spec, party, rows.get(party))), Traffic(0, 0)
        )
        for party in spec.parties
    }


def _exchanges(spec: JobSpec, party: str, rows: int | None) -> Iterator[_Exchange]:
    yield _offer(spec)
    if spec.parameters.sums():
        yield from _epoch(spec, party)
        yield from (_shares(spec, together, party) for together in shared_together(spec))
        for name, count in _counted(spec).items():
            yield from _Sum(policy_of(_JOB, spec, name, 0), name, party).tasks(count)
    turns = spec.parameters.turns(party)
    for before, turn in zip(("", *(turn.gives for turn in turns)), turns, strict=False):
        yield _step(spec, party, turn, before, rows)


def _close(spec: JobSpec, party: str) -> _Exchange:
    receipt = _receipt(spec, party).canonical()
    return _Exchange(
        "close",
        {"outcome": "finished", "reason": "", "absent": []},
        {"receipt": receipt, "signature": bytes(SIGNATURE_LENGTH)},
    )


def _offer(spec: JobSpec) -> _Exchange:
    identity = PublicIdentity("network", "institution", "node", "node", *map(bytes, (32, 1952, 1184, 32)))
    submission = Submission(
        network="network", spec=spec, nonce="0" * 32, submitted_ms=1_700_000_000_000, analyst=_HASH
    )
    known = canonical.encode(identity.document())
    return _Exchange(
        "offer",
        {
            "submission": submission.canonical(),
            "signature": bytes(SIGNATURE_LENGTH),
            "identities": [known] * (len(spec.parties) + 1),
        },
        {"waiting": 0},
    )


def _step(spec: JobSpec, party: str, turn: Turn, before: str, rows: int | None) -> _Exchange:
    """A step of the kind's own, with what rides with it of the sum ``before`` it and of the one that it gives."""
    carried = spec.parameters.letters(party, turn.step, rows)
    up, down = ((size + ENVELOPE) if size else 0 for size in carried)
    if turn.step == CONCLUDE.step and party in reporters(spec):
        up += spec.parameters.result_bytes() + ENVELOPE
    if (told := spec.parameters.tells(turn)) and party in reporters(spec):
        up += told + ENVELOPE
    asked, said = {}, {}
    if before:
        opened = _Sum(policy_of(_JOB, spec, before, 0), before, party)
        asked, down = riding(BEFORE, opened.total()), down + opened.last
    if turn.gives:
        sealed = _Sum(policy_of(_JOB, spec, turn.gives, 0), turn.gives, party)
        asked |= riding(BEHIND, sealed.lists())
        said, up = riding(BEHIND, sealed.upload()), up + sealed.first
    return _Exchange(turn.step, asked, said, up=up, down=down)


def _counted(spec: JobSpec) -> dict[str, int]:
    """How often each sum comes."""
    names = [name for name, _ in spec.summed()]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def _epoch(spec: JobSpec, party: str) -> Iterator[_Exchange]:
    key, seed, join, confirm = (turn.step for turn in EPOCH)
    others = [other for other in spec.parties if other != party]
    lattice, leads = spec.engine == "lattice", party == spec.parties[0]
    sizes = map(bytes, (1184, 32, 32, 32, SIGNATURE_LENGTH))
    document = KeyDocument(f"{_JOB}/{_HASH}", party, *sizes).to_bytes()
    letter = Letter(party, party, bytes(_EPOCH_LETTER), bytes(64)).to_bytes()
    secret = _LATTICE_SECRET if lattice else 0
    confirmed = Confirmed(party, bytes(32), bytes(32), bytes(64)).to_bytes()
    letters = {f"envelope.{other}": letter for other in others}
    yield _Exchange(key, said={"key": document}, up=_LATTICE_CONTEXT if lattice and leads else 0)
    yield _Exchange(
        seed,
        {"keys": [document] * len(spec.parties)},
        letters,
        up=secret * len(others) if leads else 0,
    )
    yield _Exchange(join, letters, {"confirm": confirmed}, down=0 if leads else secret)
    yield _Exchange(confirm, {"confirms": [confirmed] * len(spec.parties)})


def _shares(spec: JobSpec, together: Sequence[tuple[str, int]], party: str) -> _Exchange:
    """The first messages of a few sums."""
    name, _ = together[0]
    hashed, sealed = bytes(32), bytes(sums.SEALED_SHARES)
    dealt = {other: sums.Dealt(sealed, bytes(16), bytes(16)) for other in spec.parties if other != party}
    shared = sums.Shared(
        party, hashed, hashed, hashed, hashed, hashed, hashed,
        bytes(32 * len(dealt) + 16), dealt, bytes(64),
    )  # fmt: skip
    terms = [_HASH] * len(together)
    asked = {"sum": name, "attempt": 1, "rids": terms, "policies": terms}
    return _Exchange(f"{STEPS[0]}.{name}.1", asked, {"messages": [shared.to_bytes()] * len(together)})


@dataclass(frozen=True)
class _Sum:
    """The messages of one sealed sum with ``party``, all of whose parties are there."""

    policy: SumPolicy
    name: str
    party: str

    @property
    def first(self) -> int:
        """Bytes of the first batch of frames, which rides with the step that makes the summand."""
        return self._bytes(range(min(BATCH, self._wire.frames)))

    @property
    def last(self) -> int:
        """Bytes of the last batch of frames, which rides with the step behind the sum."""
        return self._bytes(range((self._wire.frames - 1) // BATCH * BATCH, self._wire.frames))

    def lists(self) -> dict[str, Any]:
        """U1."""
        sealed = bytes(sums.SEALED_SHARES)
        listed = {
            other: sums.Listed(_HASHED, _SIGNED, _HASHED, None if other == self.party else sealed)
            for other in self.policy.roster
        }
        return self._about | _said(sums.Lists(_HASHED, listed))

    def upload(self) -> dict[str, Any]:
        """R2."""
        return _said(sums.Uploaded(self.party, _HASHED, _HASHED, 0, _SIGNED))

    def total(self) -> dict[str, Any]:
        """R5."""
        heads = dict.fromkeys(self.policy.roster, sums.Head(_HASHED, _SIGNED))
        certificate = sums.Certificate(self._proposal, dict.fromkeys(self.policy.roster, _SIGNED))
        return self._about | {"round": 1, "first": 8} | _said(sums.Total(1, 0, heads, certificate))

    def tasks(self, times: int) -> Iterator[_Exchange]:
        """The tasks that it has of its own: R3 with R4, and the batches that ride with nothing."""
        _, _, frame, sign, _, total = STEPS
        batches = (self._wire.frames - 1) // BATCH
        rest = (self._wire.size - self.first) // max(1, batches), (self._wire.size - self.last) // max(1, batches)
        asked, mark = self._about | {"first": 8}, f"{self.name}.1"
        yield _Exchange(f"{frame}.{mark}.0", asked, {"frames": []}, up=rest[0], times=batches * times)
        yield _Exchange(f"{total}.{mark}.0", asked | {"message": b""}, down=rest[1], times=batches * times)
        revealed = sums.Revealed(self.party, _HASHED, dict.fromkeys(self.policy.roster, bytes(32)), {}, _SIGNED)
        signed = _said(sums.SetSigned(self.party, _HASHED, _HASHED, _SIGNED)) | {"revealed": revealed.to_bytes()}
        yield _Exchange(f"{sign}.{mark}", self._about | _said(self._proposal), signed, times=times)

    @property
    def _about(self) -> dict[str, Any]:
        return {"sum": self.name, "attempt": 1}

    @property
    def _proposal(self) -> sums.SetProposal:
        return sums.SetProposal(_HASHED, dict.fromkeys(self.policy.roster, _HASHED))

    @property
    def _wire(self) -> Layout:
        return wire_layout(self.policy)

    def _bytes(self, frames: range) -> int:
        return sum(self._wire.length(frame) for frame in frames)


def _said(message: sums.Message) -> dict[str, Any]:
    return {"message": message.to_bytes()}


def _receipt(spec: JobSpec, party: str) -> Receipt:
    policy = policy_of(_JOB, spec, *spec.summed()[0]) if spec.summed() else None
    used = None
    if policy:
        used = SumsUsed(
            engine=spec.engine,
            parameters=f"{PARAMETERS[spec.engine]}; words of 64 bits",
            institutions=len(policy.roster),
            threshold=policy.threshold,
            colluding=policy.colluding,
            opened=len(spec.summed()),
            missing=(),
        )
    return Receipt(
        network="network",
        institution=party,
        job=_JOB,
        kind=spec.kind,
        spec=_HASH,
        agreement=f"{spec.agreement}#{_HASH}",
        parties=spec.parties,
        sums=used,
        cohorts=tuple(
            CohortUsed(dataset=reads.dataset, rows_used=100_000, rows_left_out=1000, consent_root=_HASH)
            for reads in spec.parameters.reads(party)
        ),
        result=_HASH,
        took=Took(
            bytes_up=100_000,
            bytes_down=100_000,
            elapsed_ms=10_000,
            memory_mib=200,
            planned_ms=10_000,
            planned_mib=200,
        ),
        closed_ms=1_700_000_000_000,
    )
