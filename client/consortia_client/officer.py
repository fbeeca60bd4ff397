"""What an officer does from a machine of their own: confirm members, sign and change agreements, decide on jobs.

The coordinator brings what there is to sign and carries what was signed; an officer believes it no further than the
hash that they give, which they compared with their own institution and the other parties.
"""

import re
from typing import Any

import grpc

from consortia_client.errors import ClientError
from consortia_client.profile import Profile
from consortia_common import fingerprint_words, membership, rpc
from consortia_common.documents import statements
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.base import Document
from consortia_common.documents.confirmation import CONFIRMED, Confirmation
from consortia_common.documents.statements import AgreementChange, JobApproval
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc

COORDINATOR = "the coordinator"
CALL_SECONDS = 30
_REFERENCE = re.compile(r"[a-z][a-z0-9_-]{0,62}@[1-9][0-9]{0,5}#[0-9a-f]{16,64}")


class Officer:
    """Calls to the coordinator as one enrolled officer; use it in a ``with`` block."""

    def __init__(self, profile: Profile) -> None:
        me = profile.identity.public
        if me.role != "officer":
            raise ClientError(
                f"{me.institution}/{me.name} is enrolled as {me.role}, and only officers sign and approve",
                blame="whoever chose the profile",
                remedy="use an officer's profile, made by `consortia user init … --role officer`",
            )
        self._profile = profile
        self._channel: grpc.Channel = profile.channel()
        self._statements = network_pb2_grpc.StatementsStub(self._channel)

    def __enter__(self) -> "Officer":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def agreement(self, reference: str) -> Agreement:
        """The proposed agreement of that reference, with 16 digits of its hash or more. Raises ClientError."""
        if not _REFERENCE.fullmatch(reference):
            raise ClientError(
                f"{reference[:80]!r} does not say which text is meant",
                blame="whoever asked for it",
                remedy="give id@version#hash with 16 digits of the hash or more, as your own institution's "
                "`consortia agreement show` has them",
            )
        kinds = statements.PROPOSED, statements.SIGNED
        asked = pb.ListStatementsRequest(types=kinds)
        found = rpc.gathered(self._statements.List(asked, timeout=CALL_SECONDS), COORDINATOR)
        documents = {item.document for page in found for item in page.statements if item.type in kinds}
        agreements = [Agreement.from_canonical(document, "the agreement") for document in documents]
        meant = [one for one in agreements if one.reference.startswith(reference)]
        if len(meant) != 1:
            raise ClientError(
                f"the coordinator has {len(meant)} agreements with reference {reference[:80]}",
                blame="whoever asked for it, or a proposal that has not reached the coordinator",
                remedy="compare the reference with your institution's node: `consortia agreement list`",
            )
        return meant[0]

    def sign(self, reference: str) -> Agreement:
        """Sign the agreement of that reference. Raises ClientError if it does not name this officer."""
        agreement = self._own(self.agreement(reference))
        document = agreement.canonical()
        self._publish(statements.SIGNED, document, self._profile.identity.sign(statements.SIGNED, document))
        return agreement

    def change(self, reference: str, action: str, reason: str, now_ms: int) -> Agreement:
        """Ask to suspend, resume or terminate; each node decides what comes of it."""
        agreement = self._own(self.agreement(reference))
        said = {"agreement": agreement.reference, "signer": self._fingerprint, "action": action}
        self._state(statements.CHANGED, AgreementChange, said | {"reason": reason, "at_ms": now_ms})
        return agreement

    def decide(self, job_id: str, decision: str, reason: str, now_ms: int) -> None:
        """Approve or refuse a job that waits for this institution's officers."""
        said = {"job": job_id, "officer": self._fingerprint, "decision": decision}
        self._state(statements.APPROVAL, JobApproval, said | {"reason": reason, "at_ms": now_ms})

    def confirm(self, whom: tuple[str, str, str], said: str, now_ms: int) -> PublicIdentity:
        """Sign that ``whom`` (institution, role, name) read out ``said``; who that is. Raises ClientError."""
        identity = self._shown(*whom)
        if identity is None or not fingerprint_words.is_same(said, identity.fingerprint):
            raise ClientError(
                f"that is not the fingerprint that the coordinator shows for {'/'.join(whom)}",
                blame="a mistake in reading or typing, or the coordinator",
                remedy="compare again, word by word; if it still differs, sign nothing with that institution, and "
                "tell its people and the network's operator",
            )
        about = {"member": identity.institution, "role": identity.role, "name": identity.name}
        about |= {"officer": self._fingerprint, "fingerprint": identity.fingerprint}
        self._state(CONFIRMED, Confirmation, {**about, "at_ms": now_ms})
        return identity

    def _shown(self, institution: str, role: str, name: str) -> PublicIdentity | None:
        """Who that is as the coordinator has it; the coordinator itself is known since enrolment."""
        if institution == self._profile.coordinator.institution:
            return self._profile.coordinator
        return membership.named(membership.shown(self._statements, CALL_SECONDS), institution, role, name)

    @property
    def _fingerprint(self) -> str:
        return self._profile.identity.public.fingerprint

    def _own(self, agreement: Agreement) -> Agreement:
        """``agreement``, if it names this officer with this key. Raises ClientError."""
        party = agreement.party(self._profile.identity.institution)
        if party is None or party.officer(self._fingerprint) is None:
            raise ClientError(
                f"agreement {agreement.short} does not name this officer with this key",
                blame="whoever wrote the agreement",
                remedy="`consortia user show` shows the fingerprint; have a corrected agreement proposed",
            )
        return agreement

    def _state(self, kind: str, model: type[Document], said: dict[str, Any]) -> None:
        me = self._profile.identity
        value = {"network": self._profile.network, "institution": me.institution, **said}
        document = model.from_value(value, "what is to be signed").canonical()
        self._publish(kind, document, me.sign(kind, document))

    def _publish(self, kind: str, document: bytes, signature: bytes) -> None:
        statement = pb.Statement(
            type=kind, document=document, signature=signature, institution=self._profile.identity.institution
        )
        with rpc.calling(COORDINATOR):
            self._statements.Publish(statement, timeout=CALL_SECONDS)
