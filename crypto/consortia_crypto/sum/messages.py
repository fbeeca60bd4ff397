"""What institutions and the coordinator say to each other in a round: R1 to R5 of docs/sealed-sum.md.

Every message is a frozen dataclass with one byte string. An institution signs its own with its epoch's round key
(Ed25519), each kind under a domain of its own and bound to the round: to its id before the list of participants is
known, and to ctx after. The coordinator signs nothing; what it says is checked against what institutions signed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from consortia_crypto.errors import SumError
from consortia_crypto.sum import layout, schedule
from consortia_crypto.sum import tag as tags
from consortia_crypto.sum.layout import Blob, Nested, Number, Octets, Optional, Part, Table, Text

HASH = 32
SECRET = 32
SIGNATURE = 64
SEALED_SHARES = 2 * SECRET + schedule.SEAL_OVERHEAD
_BUNDLE = SECRET * layout.MAX_ENTRIES + schedule.SEAL_OVERHEAD


class Message:
    """What all messages have: bytes, and back."""

    MAGIC: ClassVar[bytes]
    PARTS: ClassVar[Sequence[Part]]

    def to_bytes(self) -> bytes:
        """The message's one byte string. Raises SumError for a field that can't be said."""
        return layout.encode(self.MAGIC, self.PARTS, self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of ``to_bytes``. Raises SumError; signatures are not checked here."""
        return layout.decode(cls.MAGIC, cls.PARTS, cls, data)


@dataclass(frozen=True)
class Dealt:
    """What one institution deals to another: shares of its two secrets, sealed, and a commitment to each."""

    sealed: bytes
    self_commitment: bytes
    pair_commitment: bytes


_DEALT = Nested(Dealt, (Octets(SEALED_SHARES), Octets(16), Octets(16)))


@dataclass(frozen=True)
class Shared(Message):
    """R1, i → C: commitments to b_i and ρ_i, the bundle E_i under ρ_i, and shares of both for each other one."""

    MAGIC = b"SSR1"

    sender: str
    rid: bytes
    policy: bytes
    epoch: bytes
    nonce: bytes
    self_commitment: bytes
    pair_commitment: bytes
    bundle: bytes
    dealt: Mapping[str, Dealt]
    signature: bytes = b""

    PARTS = (
        *(Text(), Octets(HASH), Octets(HASH), Octets(HASH), Octets(32), Octets(HASH), Octets(HASH)),
        *(Blob(_BUNDLE), Table(_DEALT), Blob(SIGNATURE)),
    )

    def digest(self) -> bytes:
        """H(R1_i): over everything but the signature."""
        return schedule.digest("shared", replace(self, signature=b"").to_bytes())


@dataclass(frozen=True)
class Listed:
    """One of U1: the signed digest of its R1, its nonce, and the shares that it sealed for who reads this."""

    digest: bytes
    signature: bytes
    nonce: bytes
    sealed: bytes | None


@dataclass(frozen=True)
class Lists(Message):
    """C → i after R1: U1, as the keys of ``listed``. Only the reader's own entry holds no shares."""

    MAGIC = b"SSL1"

    rid: bytes
    listed: Mapping[str, Listed]

    PARTS = (
        Octets(HASH),
        Table(
            Nested(Listed, (Octets(HASH), Octets(SIGNATURE), Octets(32), Optional(Octets(SEALED_SHARES)))),
        ),
    )


@dataclass(frozen=True)
class Uploaded(Message):
    """R2, i → C, beside the vector y_i: its SHA-256, and the masked tag."""

    MAGIC = b"SSR2"

    sender: str
    ctx: bytes
    digest: bytes
    tag: int
    signature: bytes = b""

    PARTS = (Text(), Octets(HASH), Octets(HASH), Number(tags.P), Blob(SIGNATURE))

    def hash(self) -> bytes:
        """H(y_i ‖ T_i), as it stands in the set."""
        return schedule.digest("upload", self.ctx, self.sender.encode(), self.digest, tags.to_bytes(self.tag))


@dataclass(frozen=True)
class SetProposal(Message):
    """R3, C → i: U2 as the keys of ``uploads``, with what each uploaded."""

    MAGIC = b"SSP1"

    ctx: bytes
    uploads: Mapping[str, bytes]

    PARTS = (Octets(HASH), Table(Octets(HASH)))

    def hash(self) -> bytes:
        """What is signed."""
        return schedule.digest("set", self.to_bytes())


@dataclass(frozen=True)
class SetSigned(Message):
    """R3, i → C: i's signature on the set, which it gives once per round."""

    MAGIC = b"SSR3"

    sender: str
    ctx: bytes
    set_hash: bytes
    signature: bytes = b""

    PARTS = (Text(), Octets(HASH), Octets(HASH), Blob(SIGNATURE))


@dataclass(frozen=True)
class Certificate(Message):
    """R4, C → i: a set, and the signatures of at least t of its members on it."""

    MAGIC = b"SSC1"

    proposal: SetProposal
    signatures: Mapping[str, bytes]

    PARTS = (Nested(SetProposal, SetProposal.PARTS), Table(Octets(SIGNATURE)))


@dataclass(frozen=True)
class Revealed(Message):
    """R4, i → C: i's shares of b_j for each j ∈ U2 and of ρ_j for each j ∈ U1∖U2; never both of one j."""

    MAGIC = b"SSR4"

    sender: str
    ctx: bytes
    self_shares: Mapping[str, bytes] = field(repr=False)
    pair_shares: Mapping[str, bytes] = field(repr=False)
    signature: bytes = b""

    PARTS = (Text(), Octets(HASH), Table(Octets(SECRET)), Table(Octets(SECRET)), Blob(SIGNATURE))


@dataclass(frozen=True)
class Head:
    """Proof that an institution is of U1: the signed digest of its R1."""

    digest: bytes
    signature: bytes


@dataclass(frozen=True)
class Total(Message):
    """R5, C → i, beside the vector Z: the tag's total, and what shows of which round and set it is."""

    MAGIC = b"SSR5"

    attempt: int
    tag: int
    heads: Mapping[str, Head]
    certificate: Certificate

    PARTS = (
        *(Number(), Number(tags.P), Table(Nested(Head, (Octets(HASH), Octets(SIGNATURE))))),
        Nested(Certificate, Certificate.PARTS),
    )


Signed = Shared | Uploaded | SetSigned | Revealed
"""What institutions sign."""
_Message = TypeVar("_Message", Shared, Uploaded, SetSigned, Revealed)


def signed(message: _Message, seed: bytes) -> _Message:
    """``message`` with the signature of the round key ``seed``."""
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(_signed_bytes(message))
    return replace(message, signature=signature)


def check_signature(message: Signed, key: bytes) -> None:
    """Return if ``message`` is signed under ``key``, its sender's; else raise SumError."""
    verify(key, _signed_bytes(message), message.signature, message.sender, type(message).__name__)


def check_head(rid: bytes, name: str, head: Head | Listed, key: bytes) -> None:
    """Return if ``name`` signed this digest of an R1 for this round; else raise SumError."""
    verify(key, head_bytes(rid, name, head.digest), head.signature, name, "Shared")


def check_set_signature(proposal: SetProposal, name: str, signature: bytes, key: bytes) -> None:
    """Return if ``name`` signed exactly this set; else raise SumError."""
    check_signature(SetSigned(name, proposal.ctx, proposal.hash(), signature), key)


def head_bytes(rid: bytes, name: str, digest: bytes) -> bytes:
    """What the signature of an R1 is over: checkable by who sees its digest only."""
    return schedule.digest("sign-shared", rid, name.encode(), digest)


def _signed_bytes(message: Signed) -> bytes:
    if isinstance(message, Shared):
        return head_bytes(message.rid, message.sender, message.digest())
    return schedule.digest("sign-" + type(message).__name__.lower(), replace(message, signature=b"").to_bytes())


def verify(key: bytes, data: bytes, signature: bytes, name: str, kind: str) -> None:
    """Return if ``signature`` is that of ``name``'s round key over ``data``; else raise SumError."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
    except (InvalidSignature, ValueError) as error:
        raise SumError(
            f"a sealed sum was refused: a {kind} message does not carry the signature of {name} for this round",
            blame=f"the coordinator, or whoever presented it as signed by {name}",
            remedy="stop the job and compare the logs of this round",
        ) from error
