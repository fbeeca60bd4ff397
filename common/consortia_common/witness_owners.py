"""Whose log it is that a checkpoint is of: shown by the owner's own signatures, believed by its pinned fingerprint.

A fingerprint is pinned because this institution's people compared it with the owner's (the members file, an
agreement that they signed, the coordinator's from enrolment). What travels beside a checkpoint counts only if it
leads back to a pin, so whoever carries it can't put another log in its place.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Lock

from consortia_common import keyfiles
from consortia_common.errors import WitnessError
from consortia_common.witness_store import Owner
from consortia_crypto import canonical
from consortia_crypto.audit import logkeys
from consortia_crypto.audit.checkpoint import log_origin
from consortia_crypto.audit.logkeys import KeyPair
from consortia_crypto.audit.notekeys import VerifierKey
from consortia_crypto.keys import PublicIdentity

Pins = Callable[[str], Collection[str]]
"""The fingerprints that an institution of this name may have; none for a stranger."""
MAX_KEYS_BYTES = 1 << 20
_REMEMBERED = 64
_YEAR_DIGITS = 4


class Owners:
    """Verifies owners, and remembers those that it has verified. Safe in several threads."""

    def __init__(self, network: str, pins: Pins) -> None:
        self._network = network
        self._pins = pins
        self._lock = Lock()
        self._verified: OrderedDict[bytes, tuple[PublicIdentity, tuple[KeyPair, ...]]] = OrderedDict()

    def keys(self, owner: Owner, origin: str, size: int) -> list[VerifierKey]:
        """The keys that sign the checkpoint of ``size`` entries of the log ``origin``. Raises ConsortiaError."""
        identity, pairs = self._verify(owner)
        if identity.fingerprint not in self._pins(identity.institution):
            raise WitnessError(
                f"the fingerprint of {identity.institution} is not known here",
                blame="nobody yet: its officers' fingerprint was not entered here",
                remedy="compare it with them by another way than the network, and enter it in the members file",
            )
        year = origin[-_YEAR_DIGITS:]
        if not year.isdecimal() or origin != log_origin(self._network, identity.institution, int(year)):
            raise WitnessError(
                f"{origin[:100]} is not a log of {identity.institution}",
                blame="whoever sent the checkpoint",
                remedy="ask that institution what its process log says",
            )
        return logkeys.keys_at(pairs, origin, size)

    def _verify(self, owner: Owner) -> tuple[PublicIdentity, tuple[KeyPair, ...]]:
        digest = hashlib.sha256(len(owner.identity).to_bytes(8, "big") + owner.identity + owner.keys).digest()
        with self._lock:
            known = self._verified.get(digest)
        if known is None:
            known = self._read(owner)
            with self._lock:
                self._verified[digest] = known
                while len(self._verified) > _REMEMBERED:
                    self._verified.popitem(last=False)
        return known

    @staticmethod
    def _read(owner: Owner) -> tuple[PublicIdentity, tuple[KeyPair, ...]]:
        if len(owner.identity) > keyfiles.MAX_FILE_BYTES or len(owner.keys) > MAX_KEYS_BYTES:
            raise WitnessError(
                "an owner's identity or keys are too long",
                blame="whoever sent them",
                remedy="ask that institution what its process log says",
            )
        identity = PublicIdentity.from_document(canonical.decode(owner.identity))
        return identity, logkeys.parse(owner.keys, identity)


def read_members(path: Path) -> dict[str, str]:
    """Fingerprints by institution in a members file: lines of INSTITUTION FINGERPRINT. Raises SettingsError."""
    if not path.exists():
        return {}
    lines = (
        line.split("#")[0].split() for line in keyfiles.read_file(path).decode("utf-8", "replace").splitlines()
    )
    return {line[0]: line[1] for line in lines if len(line) == 2}
