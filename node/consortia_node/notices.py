"""Agreements as they travel: what this institution says of them, and what others say through the coordinator.

Whoever says it, an agreement binds here only once every party's signature over its canonical bytes verifies under
the key that the agreement itself names. The coordinator relays; it can't alter, and it decides nothing.
"""

from functools import partial

from consortia_common.content import Content
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.base import refuse
from consortia_crypto import canonical
from consortia_crypto.keys import PublicIdentity
from consortia_node import agreement as agreements
from consortia_node.answers import Answer, failed_by
from consortia_node.errors import AgreementError
from consortia_node.store.agreements import AgreementStore, StoredAgreement
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2, network_pb2

PROPOSED = "agreement.proposed"
SIGNED = "agreement.signed"


class Notices:
    """Takes agreements and signatures in, from the institution's own people and from the other parties."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._store = AgreementStore(tools.engine)

    def propose(self, agreement: Agreement) -> network_pb2.Statement:
        """Propose and sign for this institution; the statement that tells the other parties."""
        self._require_party(agreement)
        me = self._tools.identity.public
        self._store.propose(agreement, partial(self._log, PROPOSED, agreement, me))
        return self._sign(agreement, PROPOSED)

    def sign(self, reference: str) -> network_pb2.Statement:
        """Sign a proposal for this institution; the statement that tells the other parties."""
        agreement = self._store.find(reference).agreement
        self._require_party(agreement)
        return self._sign(agreement, SIGNED)

    def receive(self, task: exchange_pb2.Task, content: Content) -> Answer:
        """A statement of another party, relayed by the coordinator. Raises DocumentError, EncodingError.

        It is taken in only if the agreement names this node by its own key: else whoever makes up keys for all
        parties, this one included, could sign for all of them.
        """
        del task
        config = content.config
        document, signature, identity = (config.get(name) for name in ("document", "signature", "identity"))
        if not (isinstance(document, bytes) and isinstance(signature, bytes) and isinstance(identity, bytes)):
            raise refuse("a statement", ["it lacks its document, its signature or its signer's identity"])
        agreement = Agreement.from_canonical(document, "the agreement")
        signer = PublicIdentity.from_document(canonical.decode(identity))
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

    def all(self) -> list[StoredAgreement]:
        """Every agreement that this node knows."""
        return self._store.all()

    def _sign(self, agreement: Agreement, statement: str) -> network_pb2.Statement:
        data = agreement.canonical()
        signature = self._tools.identity.sign(agreements.SIGNATURE_DOMAIN, data)
        self._accept(agreement, signature, self._tools.identity.public)
        return network_pb2.Statement(
            type=statement, document=data, signature=signature, institution=self._tools.institution
        )

    def _accept(self, agreement: Agreement, signature: bytes, signer: PublicIdentity) -> None:
        """Keep a signature and, if it was the last one missing, put the agreement in force."""
        digest = agreement.hash()
        self._store.sign(digest, signature, signer, partial(self._log, SIGNED, agreement, signer))
        self._tools.peers.keep(signer)
        stored = self._store.find(digest)
        if not stored.missing and stored.state == agreements.PROPOSED:
            signers = {party.institution: self._tools.peers.get(party.key) for party in agreement.parties}
            self._store.activate(digest, signers, partial(self._log_active, agreement))

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

    def _log_active(self, agreement: Agreement) -> None:
        self._tools.log.append(
            "agreement.activated",
            agreement=agreement.reference,
            payload_commit=self._tools.log.attach(agreement.canonical()),
            parties=[party.institution for party in agreement.parties],
        )
