"""Which keys an institution cosigns others' checkpoints with, and that its enrolled identity says so.

    {"ed25519": vkey, "mldsa44": vkey, "val": signature}

Both keys have the institution's witness name. ``val`` is the identity's signature, Ed25519 ‖ ML-DSA-65 in
hexadecimal, over the object without it, in the domain "witness-key". So whoever knows an institution's fingerprint
needs nobody's word for its witness keys, and the process that cosigns need not hold the identity.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Self

from consortia_crypto import canonical
from consortia_crypto.audit.checkpoint import witness_name
from consortia_crypto.audit.notekeys import KeyKind, VerifierKey
from consortia_crypto.audit.policy import Group, Log, Policy, Witness
from consortia_crypto.errors import AuditError, CryptoError, PolicyError, SignatureRefusedError
from consortia_crypto.keys import PublicIdentity, Signer

DOMAIN = "witness-key"
MAX_BYTES = 16 << 10
_FIELDS = frozenset({"ed25519", "mldsa44", "val"})
_KINDS = KeyKind.ED25519_COSIGNATURE, KeyKind.MLDSA44
QUORUM = "quorum-of-institutions"
"""The name of the outermost group in policies that ``policy_of`` makes; no institution can have it."""


@dataclass(frozen=True)
class WitnessKeys:
    """The public halves, under the statement that they are ``institution``'s."""

    institution: str
    ed25519: VerifierKey
    mldsa44: VerifierKey
    endorsement: bytes = field(default=b"", repr=False)

    @property
    def keys(self) -> tuple[VerifierKey, VerifierKey]:
        """Both keys."""
        return self.ed25519, self.mldsa44

    @property
    def raw(self) -> bytes:
        """The statement's bytes."""
        return canonical.encode({**self._statement(), "val": self.endorsement.hex()})

    def endorsed(self, owner: Signer) -> Self:
        """The same, with the owner's signature."""
        return replace(self, endorsement=owner.sign(DOMAIN, canonical.encode(self._statement())))

    @classmethod
    def parse(cls, raw: bytes, owner: PublicIdentity) -> Self:
        """The statement in ``raw``, which ``owner`` signed. Raises AuditError."""
        if len(raw) > MAX_BYTES:
            _refuse("it is too long")
        try:
            return cls._parse(canonical.decode(raw), owner)
        except (SignatureRefusedError, ValueError) as error:
            _refuse("the institution's signature under it does not verify", error)
        except CryptoError as error:
            _refuse(error.what, error)

    @classmethod
    def _parse(cls, document: Any, owner: PublicIdentity) -> Self:
        if not isinstance(document, dict) or document.keys() != _FIELDS:
            _refuse("it does not have exactly its fields")
        if not all(isinstance(value, str) for value in document.values()):
            _refuse("a field has the wrong type")
        ed25519, mldsa44 = (VerifierKey.parse(document[name]) for name in ("ed25519", "mldsa44"))
        name = witness_name(owner.network, owner.institution)
        if (ed25519.kind, mldsa44.kind) != _KINDS or {ed25519.name, mldsa44.name} != {name}:
            _refuse("the keys have another name, or are of other kinds")
        found = cls(owner.institution, ed25519, mldsa44, bytes.fromhex(document["val"]))
        owner.verify(DOMAIN, canonical.encode(found._statement()), found.endorsement)
        return found

    def _statement(self) -> dict[str, str]:
        return {"ed25519": self.ed25519.text, "mldsa44": self.mldsa44.text}


def policy_of(witnesses: Sequence[WitnessKeys], quorum: int, logs: Sequence[VerifierKey] = ()) -> Policy:
    """The policy that asks for ``quorum`` of ``witnesses``, each with both of its keys. Raises PolicyError."""
    if not 1 <= quorum <= len(witnesses):
        raise PolicyError(
            f"a quorum of {quorum} can't be reached with {len(witnesses)} witnesses",
            blame="whoever asked for it",
            remedy="ask for fewer, or wait until more institutions have said what their witness keys are",
        )
    single = [
        Witness(f"{one.institution}.{kind}", key)
        for one in witnesses
        for kind, key in (("ed25519", one.ed25519), ("mldsa44", one.mldsa44))
    ]
    pairs = [
        Group(one.institution, 2, (f"{one.institution}.ed25519", f"{one.institution}.mldsa44")) for one in witnesses
    ]
    whole = Group(QUORUM, quorum, tuple(one.institution for one in witnesses))
    return Policy(tuple(Log(key) for key in logs), tuple(single), (*pairs, whole), QUORUM)


def _refuse(why: str, cause: BaseException | None = None) -> NoReturn:
    raise AuditError(
        f"a statement of witness keys was refused: {why}",
        blame="whoever made or altered it",
        remedy="get it again from the institution, and compare its fingerprint",
    ) from cause
