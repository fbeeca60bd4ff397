"""One round: the newest checkpoint of a log is put to all witnesses of its policy, and their answers are taken.

Keeps nothing and waits for nobody but the carrier. What an answer is worth is decided in ``witness_answers``.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Protocol, Self

from consortia_common import keyfiles
from consortia_common.audit_log import AuditLog
from consortia_common.audit_tiles import read_tile
from consortia_common.errors import WitnessError
from consortia_common.stream import legible
from consortia_common.witness_answers import Given, Knows, Lost, Nothing, given, held_against
from consortia_common.witness_policy import for_log, institution_of
from consortia_crypto import canonical
from consortia_crypto.audit import logkeys
from consortia_crypto.audit.checkpoint import SignedCheckpoint
from consortia_crypto.audit.logkeys import KeyPair
from consortia_crypto.audit.note import Note
from consortia_crypto.audit.notekeys import VerifierKey
from consortia_crypto.audit.policy import Policy
from consortia_crypto.audit.tiletree import TileTree
from consortia_crypto.audit.witness import AddCheckpoint
from consortia_proto.v1 import witness_pb2 as pb

_TRIES = 2
"""A witness that knows another size is asked once more, with a proof from there."""
Known = MutableMapping[tuple[str, str], int]
"""By origin and witness, the size that it cosigned last."""


class Ask(Protocol):
    """Carries questions to the witnesses and brings their answers, within seconds. Raises ConsortiaError."""

    def __call__(self, request: pb.CosignRequest) -> pb.CosignResponse:
        """The answers of those who answered."""


@dataclass
class Result:
    """What came of a round: the checkpoint with its cosignatures, and why witnesses gave none, by institution."""

    note: Note
    lacking: dict[str, str] = field(default_factory=dict)
    lost: tuple[str, Lost] | None = None
    """The witness that holds entries against this log which it does not have, and what they are."""


@dataclass(frozen=True)
class Round:
    """What is asked, of whom, under which policy (for this log alone)."""

    log: AuditLog
    signed: SignedCheckpoint
    pairs: tuple[KeyPair, ...]
    policy: Policy
    witnesses: Mapping[str, list[VerifierKey]]
    """By institution, its keys in the policy."""

    @classmethod
    def of(cls, log: AuditLog, policy: Policy) -> Self:
        """The round for the newest checkpoint. Raises WitnessError if there is none."""
        signed, me = log.signed, log.identity
        if signed is None:
            raise WitnessError("the log has no checkpoint yet", blame="nobody", remedy="wait a moment")
        pairs = logkeys.parse(keyfiles.read_file(log.folder.vkeys), me)
        witnesses: dict[str, list[VerifierKey]] = {}
        for item in policy.witnesses:
            name = institution_of(item.key, me.network)
            if name and name != me.institution:
                witnesses.setdefault(name, []).append(item.key)
        keys = logkeys.keys_at(pairs, signed.checkpoint.origin, signed.checkpoint.size)
        return cls(log, signed, pairs, for_log(policy, keys), witnesses)

    @property
    def origin(self) -> str:
        """Which log."""
        return self.signed.checkpoint.origin

    def run(self, ask: Ask, known: Known, seen: list[bytes]) -> Result:
        """Ask all witnesses at once, and those that knew another size once more. Raises ConsortiaError, OSError."""
        result, left = Result(self.signed.note), list(self.witnesses)
        for _ in range(_TRIES):
            if left:
                response = ask(self._request(left, known, seen))
                answers = {answer.institution: answer for answer in response.answers}
                left = [
                    name for name in left if self._take(result, name, answers.get(name, pb.CosignAnswer()), known)
                ]
        return result

    def _take(self, result: Result, name: str, answer: pb.CosignAnswer, known: Known) -> bool:
        """Add one answer to the result; whether to ask this witness again."""
        match self._judge(result.note, answer):
            case Given(note):
                result.note = note
                known[self.origin, name] = self.signed.checkpoint.size
                result.lacking.pop(name, None)
            case Knows(size):
                known[self.origin, name] = size
                result.lacking[name] = "it knows another size of this log"
                return True
            case Lost() as lost:
                result.lost = name, lost
            case Nothing(why):
                result.lacking[name] = why
        return False

    def _judge(self, note: Note, answer: pb.CosignAnswer) -> Given | Knows | Lost | Nothing:
        match answer.outcome:
            case pb.COSIGNED:
                return given(note, answer.cosignatures, self.witnesses[answer.institution])
            case pb.STALE | pb.CONFLICT:
                held = held_against(answer.note, self.signed, self.pairs, self._prove)
                if isinstance(held, Knows) and answer.outcome == pb.CONFLICT:
                    return Nothing("it says that this log contradicts itself, and shows nothing of the kind")
                return held
            case pb.REFUSED:
                return Nothing(f"it refused: {legible(answer.cause)}")
            case _:
                return Nothing("it did not answer in time")

    def _request(self, names: list[str], known: Known, seen: list[bytes]) -> pb.CosignRequest:
        questions = []
        for name in names:
            old = known.get((self.origin, name), 0)
            request = AddCheckpoint(old, tuple(self._prove(old)), self.signed.note.raw)
            questions.append(pb.CosignQuestion(institution=name, request=request.raw))
        identity = canonical.encode(self.log.identity.document())
        owner = pb.LogOwner(identity=identity, keys=logkeys.encode(self.pairs))
        return pb.CosignRequest(owner=owner, questions=questions, seen=seen)

    def _prove(self, old: int) -> list[bytes]:
        """Raises TileError or OSError if the log has gone on, so that these tiles have been replaced."""
        folder, size = self.log.folder, self.signed.checkpoint.size
        tiles = TileTree(size, lambda level, index, width: read_tile(folder, level, index, width))
        return tiles.consistency_proof(old) if 0 < old <= size else []
