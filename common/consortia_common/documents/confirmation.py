"""An officer's signed word that they compared a member's fingerprint with its owner, and how a log keeps it.

A log attaches the statement together with the officer's public identity and signature, so that whoever has the log
can check it with nothing else. Whether that officer is one is not said here: the fingerprint of the identity is
what people compare in turn, and what agreements name.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import StringConstraints

from consortia_common.documents.base import Count, Document, Fingerprint, Name, refuse
from consortia_crypto.keys import PublicIdentity

CONFIRMED = "member.confirmed"
"""The type of the statement, its domain, and the event with which logs record it."""
STEP = "notice.confirmation"
"""The step by which a node is told."""
OFFICER = "officer"
Signature = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2})+$", max_length=10_000)]


class Confirmation(Document):
    """``institution`` and ``officer`` are the speaker's; the other names are those of the member they speak of."""

    v: Literal[1] = 1
    network: Name
    institution: Name
    officer: Fingerprint
    member: Name
    role: Literal["coordinator", "node", "analyst", "officer", "regulator"]
    name: Name
    fingerprint: Fingerprint
    at_ms: Count

    def is_of(self, member: PublicIdentity) -> bool:
        """Whether it speaks of exactly that member, with those keys."""
        names = self.network, self.member, self.role, self.name, self.fingerprint
        return names == (member.network, member.institution, member.role, member.name, member.fingerprint)

    def event(self, officer: PublicIdentity) -> dict[str, str]:
        """What a log says of it, beside the attached statement."""
        return {
            "institution": self.member,
            "role": self.role,
            "name": self.name,
            "fingerprint": self.fingerprint,
            "actor": f"{officer.institution}/{officer.role}/{officer.name}",
            "officer": officer.fingerprint,
        }


class SignedConfirmation(Document):
    """A confirmation as it is attached to a log."""

    v: Literal[1] = 1
    confirmation: Confirmation
    identity: dict[str, Any]
    signature: Signature

    @classmethod
    def of(cls, document: bytes, signature: bytes, officer: PublicIdentity) -> Self:
        """The statement as it travels, with its author, checked. Raises ConsortiaError."""
        confirmation = Confirmation.from_canonical(document, "the confirmation").model_dump(mode="json")
        value = {"confirmation": confirmation, "identity": officer.document(), "signature": signature.hex()}
        signed = cls.from_value(value, "the confirmation")
        signed.verify()
        return signed

    def verify(self) -> PublicIdentity:
        """The officer who signed. Raises ConsortiaError if the identity is not the one that the statement names."""
        officer, said = PublicIdentity.from_document(self.identity), self.confirmation
        named = (said.network, said.institution, said.officer, OFFICER)
        if (officer.network, officer.institution, officer.fingerprint, officer.role) != named:
            raise refuse("a confirmation", ["it names another officer than the one whose keys are with it"])
        officer.verify(CONFIRMED, said.canonical(), bytes.fromhex(self.signature))
        return officer
