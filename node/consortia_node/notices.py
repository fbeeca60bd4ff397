"""Agreements as they travel: what this institution says of them, and what others say through the coordinator.

Whoever says it, an agreement binds here only once every party's signatures over its canonical bytes verify under
the keys that the agreement itself names. The coordinator relays; it can't alter, and it decides nothing.
"""

from functools import partial

from consortia_common.content import Content
from consortia_common.documents import statements
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.base import refuse
from consortia_common.documents.statements import PROPOSED, SIGNED, AgreementChange
from consortia_crypto import canonical
from consortia_crypto.errors import ConsortiaError
from consortia_crypto.keys import PublicIdentity
from consortia_node import agreement as agreements
from consortia_node.answers import Answer, failed_by
from consortia_node.errors import AgreementError
from consortia_node.grades import require_grades
from consortia_node.store.agreements import AgreementStore, StoredAgreement
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2, network_pb2

_EFFECTS = {
    agreements.SUSPENDED: "agreement.suspended",
    agreements.ACTIVE: "agreement.resumed",
    agreements.TERMINATED: "agreement.terminated",
}


class Notices:
    """Takes agreements and signatures in, from the institution's own people and from the other parties."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._store = AgreementStore(tools.engine)

    def propose(self, agreement: Agreement) -> network_pb2.Statement:
        """Propose and sign for this institution; the statement that tells the other parties."""
        self._require_party(agreement)
        require_grades(agreement, self._tools.institution, self._tools.settings.datasets)
        me = self._tools.identity.public
        self._store.propose(agreement, partial(self._log, PROPOSED, agreement, me))
        return self._sign(agreement, PROPOSED)

    def sign(self, reference: str) -> network_pb2.Statement:
        """Sign a proposal for this institution; the statement that tells the other parties."""
        agreement = self._store.find(reference).agreement
        self._require_party(agreement)
        require_grades(agreement, self._tools.institution, self._tools.settings.datasets)
        return self._sign(agreement, SIGNED)

    def change(self, reference: str, action: str, reason: str) -> network_pb2.Statement:
        """Suspend, resume or terminate as this institution's node; the statement that tells the other parties.

        It takes effect here before anybody else is told. Raises DocumentError, StoreError, AgreementError.
        """
        agreement = self._store.find(reference).agreement
        me = self._tools.identity.public
        change = AgreementChange.from_value(
            {
                "network": self._tools.settings.network,
                "agreement": agreement.reference,
                "institution": me.institution,
                "signer": me.fingerprint,
                "action": action,
                "reason": reason,
                "at_ms": self._tools.now_ms(),
            },
            "the change",
        )
        document = change.canonical()
        signature = self._tools.identity.sign(statements.CHANGED, document)
        self._apply(change, signature, me)
        return network_pb2.Statement(
            type=statements.CHANGED, document=document, signature=signature, institution=me.institution
        )

    def receive(self, task: exchange_pb2.Task, content: Content) -> Answer:
        """An agreement with a signature, relayed by the coordinator. Raises DocumentError, EncodingError.

        It is taken in only if the agreement names this node by its own key: else whoever makes up keys for all
        parties, this one included, could sign for all of them.
        """
        del task
        document, signature, signer = signed_parts(content)
        agreement = Agreement.from_canonical(document, "the agreement")
        if agreement.party(self._tools.institution) is None:
            return Answer(Content())
        try:
            self._require_party(agreement)
            agreements.verify_signature(agreement, signature, signer)
            self._store.propose(agreement, partial(self._log, PROPOSED, agreement, signer))
            self._accept(agreement, signature, signer)
        except AgreementError as error:
            self._tools.log.append("agreement.refused", agreement=agreement.reference, reason=error.what)
            return Answer(failed_by(error))
        return Answer(Content())

    def receive_change(self, task: exchange_pb2.Task, content: Content) -> Answer:
        """A party's wish about an agreement, relayed by the coordinator. Raises DocumentError, EncodingError."""
        del task
        document, signature, signer = signed_parts(content)
        change = AgreementChange.from_canonical(document, "the change")
        if change.agreement not in {stored.agreement.reference for stored in self._store.all()}:
            return Answer(Content())
        try:
            self._apply(change, signature, signer)
        except ConsortiaError as error:
            self._tools.log.append("agreement.refused", agreement=change.agreement, reason=error.what)
            return Answer(failed_by(error))
        return Answer(Content())

    def find(self, reference: str) -> StoredAgreement:
        """The agreement that is meant. Raises StoreError."""
        return self._store.find(reference)

    def all(self) -> list[StoredAgreement]:
        """Every agreement that this node knows."""
        return self._store.all()

    def _sign(self, agreement: Agreement, statement: str) -> network_pb2.Statement:
        data = agreement.canonical()
        signature = self._tools.identity.sign(SIGNED, data)
        self._accept(agreement, signature, self._tools.identity.public)
        return network_pb2.Statement(
            type=statement, document=data, signature=signature, institution=self._tools.institution
        )

    def _accept(self, agreement: Agreement, signature: bytes, signer: PublicIdentity) -> None:
        """Keep a signature and, if it was the last one missing, put the agreement in force."""
        digest = agreement.hash()
        self._tools.peers.keep(signer)
        self._store.sign(digest, signature, signer, partial(self._log, SIGNED, agreement, signer))
        stored = self._store.find(digest)
        if not stored.missing and stored.state == agreements.PROPOSED:
            signers = {key: self._tools.peers.get(key) for key in stored.signatures}
            log, effect = partial(self._log_active, agreement), partial(self._log_effect, agreement, signer, "")
            self._store.activate(digest, signers, log, effect)

    def _apply(self, change: AgreementChange, signature: bytes, signer: PublicIdentity) -> None:
        """Take a wish in; log it, then what comes of it. Raises AgreementError, SignatureRefusedError."""
        agreement = self._store.find(change.agreement).agreement
        agreements.require_signer(agreement, signer)
        self._tools.peers.require_standing(signer.fingerprint)
        said = (change.network, change.institution, change.signer)
        if said != (self._tools.settings.network, signer.institution, signer.fingerprint):
            raise refuse("the change", ["it is for another network, or names another signer than its own"])
        if change.at_ms > self._tools.now_ms() + statements.SKEW_MS:
            raise refuse("the change", ["it is from the future"])
        signer.verify(statements.CHANGED, change.canonical(), signature)
        wish = agreements.Wish(change.institution, change.signer, change.action, change.at_ms)
        effect = partial(self._log_effect, agreement, signer, change.reason)
        self._store.wish(agreement.hash(), wish, partial(self._log_change, change), effect)

    def _require_party(self, agreement: Agreement) -> None:
        party = agreement.party(self._tools.institution)
        if party is None or party.key != self._tools.identity.public.fingerprint:
            raise AgreementError(
                f"agreement {agreement.short} does not name {self._tools.institution} with this node's fingerprint",
                blame="whoever wrote the agreement",
                remedy="`consortia node status` shows the fingerprint; correct the agreement and propose it again",
            )

    def _log(self, event: str, agreement: Agreement, signer: PublicIdentity) -> None:
        """The document is kept beside the log from the first, so that whoever audits it can read what was asked."""
        self._tools.log.append(
            event,
            agreement=agreement.reference,
            payload_commit=self._tools.log.attach(agreement.canonical()),
            institution=signer.institution,
            fingerprint=signer.fingerprint,
        )

    def _log_change(self, change: AgreementChange) -> None:
        self._tools.log.append(
            statements.CHANGED,
            agreement=change.agreement,
            payload_commit=self._tools.log.attach(change.canonical()),
            institution=change.institution,
            fingerprint=change.signer,
            decision=change.action,
            reason=change.reason,
        )

    def _log_effect(self, agreement: Agreement, signer: PublicIdentity, reason: str, state: str) -> None:
        self._tools.log.append(
            _EFFECTS[state], agreement=agreement.reference, institution=signer.institution, reason=reason
        )

    def _log_active(self, agreement: Agreement) -> None:
        self._tools.log.append(
            "agreement.activated",
            agreement=agreement.reference,
            payload_commit=self._tools.log.attach(agreement.canonical()),
            parties=[party.institution for party in agreement.parties],
        )


def signed_parts(content: Content) -> tuple[bytes, bytes, PublicIdentity]:
    """Document, signature and signer of a relayed statement; nothing is verified yet. Raises ConsortiaError."""
    config = content.config
    document, signature, identity = (config.get(name) for name in ("document", "signature", "identity"))
    if not (isinstance(document, bytes) and isinstance(signature, bytes) and isinstance(identity, bytes)):
        raise refuse("a statement", ["it lacks its document, its signature or its signer's identity"])
    return document, signature, PublicIdentity.from_document(canonical.decode(identity))
