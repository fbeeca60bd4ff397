"""The witness's desk: cosigns other parties' checkpoints by the rules of ``witness.decide``, or says why not.

The new state is committed before the cosignature is made (compare and swap), so that two requests at once, or a
crash, can't make this institution vouch for two histories. Whatever is sent here ends in an answer; what shows two
histories is kept as evidence, stops this party's own releases, and is told to the other witnesses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from consortia_common.stream import legible
from consortia_common.witness_alarms import Alarms, Contradiction
from consortia_common.witness_keys import WitnessSigner
from consortia_common.witness_owners import Owners
from consortia_common.witness_store import Owner, WitnessStore
from consortia_crypto.audit.checkpoint import Checkpoint
from consortia_crypto.audit.note import Note
from consortia_crypto.audit.notekeys import VerifierKey
from consortia_crypto.audit.witness import Accepted, AddCheckpoint, Conflict, Refused, Stale, convicts, decide
from consortia_crypto.errors import ConsortiaError
from consortia_proto.v1 import witness_pb2 as pb

MAX_SEEN = 64
"""So many checkpoints that another witness has seen are looked at."""
_TRIES = 5


@dataclass(frozen=True)
class Desk:
    """Answers for one institution. ``tell`` passes a contradiction on to the other witnesses."""

    signer: WitnessSigner
    store: WitnessStore
    owners: Owners
    alarms: Alarms
    clock: Callable[[], datetime]
    tell: Callable[[pb.Contradiction], None]

    @property
    def institution(self) -> str:
        """Who this witness is."""
        return self.signer.statement.institution

    def answer(self, owner: pb.LogOwner, request: bytes) -> pb.CosignAnswer:
        """What this witness says to a request, a C2SP add-checkpoint."""
        try:
            return self._answer(Owner(owner.identity, owner.keys), AddCheckpoint.parse(request))
        except ConsortiaError as error:
            return self._say(pb.REFUSED, cause=error.what)

    def look(self, seen: Sequence[bytes]) -> None:
        """Compare the checkpoints that another witness cosigned with those that were cosigned here."""
        for note in seen[:MAX_SEEN]:
            checkpoint = _checkpoint(note)
            state = self.store.state(checkpoint.origin) if checkpoint else None
            if checkpoint and state and checkpoint.size == state.size and checkpoint.root != state.root:
                self._compare(checkpoint.origin, state.note, note, "another witness")

    def warned(self, warning: pb.Contradiction) -> None:
        """Judge what another witness calls a contradiction; only what convicts is kept."""
        checkpoint = _checkpoint(warning.first)
        if checkpoint is not None:
            owner = Owner(warning.owner.identity, warning.owner.keys)
            self._compare(checkpoint.origin, warning.first, warning.second, legible(warning.finder), owner)

    def warnings(self) -> list[pb.Contradiction]:
        """Of each contradiction that is not acknowledged, what the other witnesses are to be told."""
        return [pb.Contradiction.FromString(data) for data in self.alarms.warnings()]

    def _answer(self, owner: Owner, asked: AddCheckpoint) -> pb.CosignAnswer:
        checkpoint = Checkpoint.parse(Note.parse(asked.note).text)
        origin = checkpoint.origin
        keys = self.owners.keys(owner, origin, checkpoint.size)
        self.alarms.forget(self.store.forget)
        for _ in range(_TRIES):
            state = self.store.state(origin)
            match decide(state, asked, origin, keys):
                case Accepted(accepted):
                    if self.store.swap(origin, state, accepted, owner):
                        return self._cosigned(checkpoint)
                case Stale(_, note):
                    return self._say(pb.STALE, note=note)
                case Refused(cause):
                    return self._say(pb.REFUSED, cause=cause)
                case Conflict(b"", _, _, cause):  # nothing was cosigned before that this could contradict
                    return self._say(pb.REFUSED, cause=cause)
                case Conflict(old, new, proven, cause):
                    self._keep(Contradiction(origin, old, new, proven, cause, self.institution), owner)
                    return self._say(pb.CONFLICT, note=old, cause=cause)
        return self._say(pb.REFUSED, cause="other checkpoints of this log came at the same time")

    def _cosigned(self, checkpoint: Checkpoint) -> pb.CosignAnswer:
        lines = self.signer.cosign(checkpoint, int(self.clock().timestamp()))
        return pb.CosignAnswer(institution=self.institution, outcome=pb.COSIGNED, cosignatures=lines)

    def _compare(self, origin: str, first: bytes, second: bytes, finder: str, owner: Owner | None = None) -> None:
        """Keep two checkpoints if they convict the log, by keys that lead back to a pin."""
        shown = owner or self.store.owner(origin)
        if shown is None:
            return
        try:
            keys = self._keys(shown, origin, (first, second))
        except ConsortiaError:
            return
        if convicts(first, second, origin, keys):
            cause = "two different logs of one length were signed"
            self._keep(Contradiction(origin, first, second, True, cause, finder), shown)

    def _keys(self, owner: Owner, origin: str, notes: Sequence[bytes]) -> list[VerifierKey]:
        sizes = {checkpoint.size for note in notes if (checkpoint := _checkpoint(note))}
        return [key for size in sizes for key in self.owners.keys(owner, origin, size)]

    def _keep(self, found: Contradiction, owner: Owner) -> None:
        warning = pb.Contradiction(
            owner=pb.LogOwner(identity=owner.identity, keys=owner.keys),
            first=found.first,
            second=found.second,
            finder=self.institution,
        )
        if self.alarms.keep(found, warning.SerializeToString()):
            self.tell(warning)

    def _say(self, outcome: "pb.CosignOutcome.ValueType", note: bytes = b"", cause: str = "") -> pb.CosignAnswer:
        return pb.CosignAnswer(institution=self.institution, outcome=outcome, note=note, cause=legible(cause))


def _checkpoint(note: bytes) -> Checkpoint | None:
    try:
        return Checkpoint.parse(Note.parse(note).text)
    except ConsortiaError:
        return None
