"""A log in memory, with its own keys, for tests of checkpoints, witnesses and policies."""

from consortia_crypto.audit import tree
from consortia_crypto.audit.checkpoint import Checkpoint, log_origin, sign_checkpoint, witness_name
from consortia_crypto.audit.notekeys import KeyKind, SigningKey
from consortia_crypto.audit.witness import AddCheckpoint

NETWORK = "demo"
NOW = 1_800_000_000


class MemoryLog:
    """Entries of one institution's log; ``keys`` are public, ``signers`` the private halves."""

    def __init__(self, institution: str = "bank-a", entries: tuple[bytes, ...] = ()) -> None:
        self.origin = log_origin(NETWORK, institution, 2027)
        self.signers = [SigningKey.generate(self.origin, kind) for kind in (KeyKind.ED25519, KeyKind.MLDSA44)]
        self.entries = list(entries)

    @property
    def keys(self):
        return [signer.verifier for signer in self.signers]

    @property
    def hashes(self):
        return tree.leaf_hashes(self.entries)

    def checkpoint(self, size=None) -> Checkpoint:
        hashes = self.hashes[:size]
        return Checkpoint(self.origin, len(hashes), tree.root(hashes))

    def note(self, size=None, time=NOW):
        return sign_checkpoint(self.checkpoint(size), self.signers, time)

    def request(self, old_size: int, size=None, time=NOW) -> AddCheckpoint:
        """What the log asks a witness that it thinks to know ``old_size`` entries."""
        proof = tree.consistency_proof(self.hashes[:size], old_size) if old_size else []
        return AddCheckpoint(old_size, tuple(proof), self.note(size, time).raw)


def witness_key(institution: str, kind: KeyKind = KeyKind.MLDSA44) -> SigningKey:
    return SigningKey.generate(witness_name(NETWORK, institution), kind)
