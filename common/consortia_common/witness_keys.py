"""The private halves of an institution's witness keys: made here, in a file for this user alone, and never sent.

They are not the identity: the process that cosigns once a minute need not hold what signs agreements. Trusted for:
the statement beside them (``witness.json``, public) is signed by the identity that this folder enrolled with.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from consortia_common import keyfiles
from consortia_common.errors import WitnessError
from consortia_crypto import canonical
from consortia_crypto.audit.checkpoint import Checkpoint, witness_name
from consortia_crypto.audit.notekeys import KeyKind, SigningKey
from consortia_crypto.audit.witnesskeys import WitnessKeys
from consortia_crypto.errors import CryptoError
from consortia_crypto.keys import PublicIdentity, Signer

KEY_FILE = "witness.key"
STATEMENT_FILE = "witness.json"


@dataclass(frozen=True)
class WitnessSigner:
    """Cosigns checkpoints as one institution."""

    statement: WitnessKeys
    private: tuple[SigningKey, SigningKey] = field(repr=False)

    def cosign(self, checkpoint: Checkpoint, timestamp: int) -> bytes:
        """The signature lines of both keys, made at ``timestamp`` (seconds since 1970)."""
        return "".join(f"{checkpoint.sign(key, timestamp).line}\n" for key in self.private).encode()


def load_or_make(folder: Path, owner: Signer) -> WitnessSigner:
    """The witness keys in a node's or the coordinator's folder; made if there are none. Raises WitnessError."""
    path = folder / KEY_FILE
    if not path.exists():
        private = _fresh(owner.public)
        seeds = {"v": 1, "ed25519": private[0].seed.hex(), "mldsa44": private[1].seed.hex()}
        keyfiles.write_file(path, canonical.encode(seeds))
    private = _private(path, owner.public)
    return WitnessSigner(_statement(folder / STATEMENT_FILE, private, owner), private)


def _statement(path: Path, private: tuple[SigningKey, SigningKey], owner: Signer) -> WitnessKeys:
    """The statement in ``path``; made anew if it is not of these keys."""
    keys = WitnessKeys(owner.public.institution, private[0].verifier, private[1].verifier)
    if path.exists():
        try:
            found = WitnessKeys.parse(keyfiles.read_file(path), owner.public)
        except CryptoError:
            found = keys
        if found.keys == keys.keys and found.endorsement:
            return found
    keys = keys.endorsed(owner)
    keyfiles.write_file(path, keys.raw, keyfiles.PUBLIC)
    return keys


def _fresh(owner: PublicIdentity) -> tuple[SigningKey, SigningKey]:
    name = witness_name(owner.network, owner.institution)
    return SigningKey.generate(name, KeyKind.ED25519_COSIGNATURE), SigningKey.generate(name, KeyKind.MLDSA44)


def _private(path: Path, owner: PublicIdentity) -> tuple[SigningKey, SigningKey]:
    try:
        seeds = canonical.decode(keyfiles.read_secret(path))
        name = witness_name(owner.network, owner.institution)
        return (
            SigningKey(name, KeyKind.ED25519_COSIGNATURE, bytes.fromhex(seeds["ed25519"])),
            SigningKey(name, KeyKind.MLDSA44, bytes.fromhex(seeds["mldsa44"])),
        )
    except (CryptoError, KeyError, TypeError, ValueError) as error:
        _refuse(path, error)


def _refuse(path: Path, error: BaseException) -> NoReturn:
    raise WitnessError(
        f"{path} does not hold this institution's witness keys",
        blame="the disk, or whoever changed the file",
        remedy="restore the file; if it is lost, remove it: new keys are made at the next start, and every other "
        "institution must then write its witness policy anew",
    ) from error
