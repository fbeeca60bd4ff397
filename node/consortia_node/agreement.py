"""PURE: the life of an agreement at this node, and what its signatures must be.

An agreement binds once every party has signed the same canonical bytes with the key that the agreement itself
names for it. The coordinator only carries agreements and signatures; it can neither make nor alter one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from consortia_common.documents import agreement as documents
from consortia_common.documents.agreement import Agreement
from consortia_crypto.errors import SignatureRefusedError
from consortia_crypto.keys import PublicIdentity
from consortia_node.errors import AgreementError
from consortia_node.states import StateTable

SIGNATURE_DOMAIN = "agreement.signed"

PROPOSED, ACTIVE = documents.PROPOSED, documents.ACTIVE
SUSPENDED, SUPERSEDED, EXPIRED, TERMINATED = "suspended", "superseded", "expired", "terminated"
STATES = (PROPOSED, ACTIVE, SUSPENDED, SUPERSEDED, EXPIRED, TERMINATED)

LIFE = StateTable(
    "an agreement",
    {
        PROPOSED: frozenset({ACTIVE}),
        ACTIVE: frozenset({SUSPENDED, SUPERSEDED, EXPIRED, TERMINATED}),
        SUSPENDED: frozenset({ACTIVE, SUPERSEDED, EXPIRED, TERMINATED}),
        SUPERSEDED: frozenset(),
        EXPIRED: frozenset(),
        TERMINATED: frozenset(),
    },
)

REPLACEABLE = frozenset({ACTIVE, SUSPENDED})
"""The states from which a newer version takes over."""


@dataclass(frozen=True)
class Version:
    """Another version of the same agreement, as this node knows it."""

    number: int
    hash: str
    state: str


def verify_signature(agreement: Agreement, signature: bytes, identity: PublicIdentity) -> None:
    """Return if ``signature`` is that of the party that ``identity`` claims to be.

    Raises AgreementError if the identity is not the one that the agreement names, or has not signed these bytes.
    """
    party = agreement.party(identity.institution)
    if party is None:
        raise _refuse(agreement, f"{identity.institution} is not a party to it", identity.institution)
    if identity.fingerprint != party.key:
        why = f"it names another key for {party.institution} than the one presented"
        raise _refuse(agreement, why, f"whoever presented the key of {party.institution}")
    try:
        identity.verify(SIGNATURE_DOMAIN, agreement.canonical(), signature)
    except SignatureRefusedError as error:
        raise _refuse(agreement, f"the signature of {party.institution} is not valid", error.blame) from error


def verify_signatures(
    agreement: Agreement, signatures: Mapping[str, bytes], identities: Mapping[str, PublicIdentity]
) -> tuple[str, ...]:
    """The parties whose signature is still missing, in the agreement's order; empty if it may become active.

    ``signatures`` and ``identities`` are by institution. Raises AgreementError for any signature that does not
    verify, also one by somebody who is no party, or whose identity is not known.
    """
    for institution, signature in signatures.items():
        identity = identities.get(institution)
        if identity is None or identity.institution != institution:
            raise _refuse(agreement, f"the identity of {institution} is not known here", "the coordinator")
        verify_signature(agreement, signature, identity)
    return tuple(party.institution for party in agreement.parties if party.institution not in signatures)


def superseded_by(agreement: Agreement, others: Iterable[Version]) -> str | None:
    """The hash of the version that ``agreement`` replaces when it becomes active, or None if it replaces none.

    ``others`` are the other versions of the same agreement. Raises AgreementError if it would step back behind
    a version that has been in force, or beside one that still is.
    """
    past = [other for other in others if other.state != PROPOSED and other.hash != agreement.hash()]
    newest = max((other.number for other in past), default=0)
    if agreement.version <= newest:
        raise _refuse(agreement, f"version {newest} has been in force already", "whoever proposed it")
    for other in past:
        if other.state in REPLACEABLE:
            if agreement.parent != other.hash:
                why = f"it does not name version {other.number}, which is {other.state}, as its parent"
                raise _refuse(agreement, why, "whoever proposed it")
            return other.hash
    return None


def _refuse(agreement: Agreement, why: str, blame: str) -> AgreementError:
    return AgreementError(
        f"agreement {agreement.short} was refused: {why}",
        blame=blame,
        remedy="the parties' officers compare the agreement's hash and their fingerprints, then sign again",
    )
