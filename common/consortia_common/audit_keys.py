"""The keys that sign a log's checkpoints: made with the log, endorsed by its owner, replaced at will.

They are not the owner's identity, so the process that signs once a minute need not hold what signs agreements; and
they can be rotated without a new identity. The older pair goes on signing beside the newer for a while.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from consortia_common import keyfiles
from consortia_common.audit_disk import Disk, put_file_durably
from consortia_common.audit_segments import LogFolder
from consortia_common.errors import LogStorageError
from consortia_crypto import canonical
from consortia_crypto.audit import logkeys
from consortia_crypto.audit.logkeys import KeyPair
from consortia_crypto.audit.notekeys import KeyKind, SigningKey
from consortia_crypto.errors import CryptoError
from consortia_crypto.keys import PublicIdentity, Signer

OVERLAP = 1000
"""An older pair signs checkpoints of so many more entries after a newer one was made."""


@dataclass(frozen=True)
class LogKeys:
    """A log's origin, all pairs there ever were, and the private halves of those in use."""

    origin: str
    pairs: tuple[KeyPair, ...]
    private: tuple[tuple[SigningKey, SigningKey], ...]

    def signers(self, size: int) -> list[SigningKey]:
        """What signs the checkpoint of ``size`` entries."""
        public = logkeys.keys_at(self.pairs, self.origin, size)
        return [key for pair in self.private for key in pair if key.verifier in public]

    def with_new_pair(self, since: int, owner: Signer, overlap: int = OVERLAP) -> "LogKeys":
        """The same log with a fresh pair from ``since`` entries on; the pair before it ends ``overlap`` later."""
        ended = [
            replace(pair, until=since + overlap).endorsed(owner)
            if pair.name == self.origin and pair.until is None
            else pair
            for pair in self.pairs
        ]
        kinds = (KeyKind.ED25519, KeyKind.MLDSA44)
        fresh = SigningKey.generate(self.origin, kinds[0]), SigningKey.generate(self.origin, kinds[1])
        pair = KeyPair(fresh[0].verifier, fresh[1].verifier, since).endorsed(owner)
        in_use = {key for item in ended if item.signs(self.origin, since) for key in item.keys}
        kept = [item for item in self.private if item[0].verifier in in_use]
        return LogKeys(self.origin, (*ended, pair), (*kept, fresh))

    def store(self, folder: LogFolder, disk: Disk) -> None:
        """Write both files: the private one first, so that every endorsed key can sign."""
        seeds = [{"ed25519": one.seed.hex(), "mldsa44": other.seed.hex()} for one, other in self.private]
        secret = canonical.encode({"v": 1, "origin": self.origin, "seeds": seeds})
        put_file_durably(disk, folder.keys, secret, keyfiles.PRIVATE)
        put_file_durably(disk, folder.vkeys, logkeys.encode(self.pairs))


def load(folder: LogFolder, owner: PublicIdentity) -> LogKeys | None:
    """The keys of the log in ``folder``; None if it has none yet. Raises LogStorageError."""
    if not folder.vkeys.exists():
        return None
    try:
        pairs = logkeys.parse(keyfiles.read_file(folder.vkeys), owner)
        document = canonical.decode(keyfiles.read_secret(folder.keys))
        return LogKeys(document["origin"], pairs, _private(document))
    except (CryptoError, KeyError, TypeError, ValueError) as error:
        _refuse(error)


def begin(origin: str, since: int, earlier: Sequence[KeyPair], owner: Signer) -> LogKeys:
    """The first pair of the log ``origin``, which follows on logs with the pairs ``earlier``."""
    return LogKeys(origin, tuple(earlier), ()).with_new_pair(since, owner)


def _private(document: Any) -> tuple[tuple[SigningKey, SigningKey], ...]:
    origin = document["origin"]
    return tuple(
        (
            SigningKey(origin, KeyKind.ED25519, bytes.fromhex(item["ed25519"])),
            SigningKey(origin, KeyKind.MLDSA44, bytes.fromhex(item["mldsa44"])),
        )
        for item in document["seeds"]
    )


def _refuse(error: BaseException) -> NoReturn:
    raise LogStorageError(
        "the audit log can't be used: its checkpoint keys (log.keys, vkeys.json) are damaged",
        blame="the disk, or whoever changed the files",
        remedy="restore both files from the newest copy of the log",
    ) from error
