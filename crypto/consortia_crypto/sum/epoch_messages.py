"""What is published while an epoch's keys are agreed on; none of it is secret, the coordinator may read it all.

A KeyDocument is an institution's fresh keys for one epoch, signed by its enrolled identity: this signature is what
keeps a coordinator from putting keys of its own in their place. A Letter is sealed and opened in epoch.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from consortia_crypto.errors import EncodingError, SignatureRefusedError, SumError
from consortia_crypto.keys import SIGNATURE_LENGTH, PublicIdentity, Signer
from consortia_crypto.sum import schedule
from consortia_crypto.sum.layout import Blob, Octets, Text
from consortia_crypto.sum.messages import HASH, SIGNATURE, Message, verify

_DOMAIN = "sum-epoch-key"
MAX_ATTACHMENT = 1 << 20


@dataclass(frozen=True)
class KeyDocument(Message):
    """An institution's keys for one epoch, and a commitment to its part of the group key."""

    MAGIC = b"SEK1"

    session: str
    institution: str
    mlkem768: bytes
    x25519: bytes
    ed25519: bytes
    part: bytes
    signature: bytes = b""

    PARTS = (
        *(Text(), Text(), Octets(1184), Octets(32), Octets(32), Octets(HASH)),
        Blob(SIGNATURE_LENGTH),
    )

    def signed(self, signer: Signer) -> "KeyDocument":
        """The document with its institution's signature."""
        return replace(self, signature=signer.sign(_DOMAIN, self._body()))

    def check(self, name: str, session: str, identity: PublicIdentity) -> None:
        """Return if ``name``, whose enrolled ``identity`` this is, published it for ``session``; else SumError."""
        if (self.institution, self.session) != (name, session) or identity.institution != name:
            raise refused(f"what came as the keys of {name} are keys of somebody else or of another job", name)
        try:
            identity.verify(_DOMAIN, self._body(), self.signature)
        except (SignatureRefusedError, EncodingError) as error:
            raise refused(f"the keys that came for {name} are not signed by its enrolled identity", name) from error

    def _body(self) -> bytes:
        return replace(self, signature=b"").to_bytes()


@dataclass(frozen=True)
class Letter(Message):
    """What ``sender`` sealed to the epoch key of ``recipient``."""

    MAGIC = b"SEL1"

    sender: str
    recipient: str
    sealed: bytes
    signature: bytes = b""

    PARTS = (Text(), Text(), Blob(MAX_ATTACHMENT + 4096), Blob(SIGNATURE))

    def signed_bytes(self, roster_hash: bytes) -> bytes:
        """What the sender's round key signs."""
        sealed = replace(self, signature=b"").to_bytes()
        return schedule.digest("sign-letter", roster_hash, sealed)


@dataclass(frozen=True)
class Confirmed(Message):
    """That ``sender`` has the group key of the epoch whose roster hash is ``epoch``."""

    MAGIC = b"SEC1"

    sender: str
    epoch: bytes
    value: bytes
    signature: bytes = b""

    PARTS = (Text(), Octets(HASH), Octets(32), Blob(SIGNATURE))

    def signed_bytes(self) -> bytes:
        """What the sender's round key signs."""
        return schedule.digest("sign-confirmed", replace(self, signature=b"").to_bytes())


def roster_hash(roster: tuple[str, ...], documents: Mapping[str, KeyDocument]) -> bytes:
    """What all keys of the epoch are bound to: every signed document, in the order of the roster."""
    return schedule.digest("roster", *(documents[name].to_bytes() for name in roster))


def check_confirmed(message: Confirmed, key: bytes) -> None:
    """Return if ``message`` is signed under its sender's round key; else raise SumError."""
    verify(key, message.signed_bytes(), message.signature, message.sender, "Confirmed")


def refused(why: str, who: str) -> SumError:
    """What is raised when an epoch's keys can't be agreed on."""
    return SumError(
        f"keys for sealed sums were not agreed on: {why}",
        blame=f"the coordinator that carried it, or {who}",
        remedy="stop the job and compare the logs of both; no data has been sent",
    )
