"""PURE: the life of an agreement at this node, and what its signatures must be.

An agreement binds once every party has signed the same canonical bytes: its node with the key that the agreement
itself names for it, and as many of the officers that it names as it asks for. The coordinator only carries
agreements and signatures; it can neither make nor alter one.

Whatever the order in which statements come, every node that has the same ones comes to the same state.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from consortia_common.documents import agreement as documents
from consortia_common.documents.agreement import Agreement, Party
from consortia_common.documents.statements import RESUME, SIGNED, SUSPEND, TERMINATE
from consortia_crypto.errors import SignatureRefusedError
from consortia_crypto.keys import PublicIdentity
from consortia_node.errors import AgreementError
from consortia_node.states import StateTable

PROPOSED, ACTIVE = documents.PROPOSED, documents.ACTIVE
SUSPENDED, SUPERSEDED, TERMINATED = "suspended", "superseded", "terminated"
STATES = (PROPOSED, ACTIVE, SUSPENDED, SUPERSEDED, TERMINATED)
EXPIRED = "expired"
"""Shown in the place of a state, see ``state_at``."""

LIFE = StateTable(
    "an agreement",
    {
        PROPOSED: frozenset({ACTIVE}),
        ACTIVE: frozenset({SUSPENDED, SUPERSEDED, TERMINATED}),
        SUSPENDED: frozenset({ACTIVE, SUPERSEDED, TERMINATED}),
        SUPERSEDED: frozenset(),
        TERMINATED: frozenset(),
    },
)

REPLACEABLE = frozenset({ACTIVE, SUSPENDED})
"""The states from which a newer version takes over."""
OFFICER = "officer"
"""The role of a person who signs for an institution."""


@dataclass(frozen=True)
class Version:
    """Another version of the same agreement, as this node knows it."""

    number: int
    hash: str
    state: str


@dataclass(frozen=True)
class Wish:
    """The last time that one signer asked for one thing, besides signing."""

    institution: str
    signer: str
    action: str
    at_ms: int


def state_at(agreement: Agreement, state: str, now: datetime) -> str:
    """The state to show: what is in force or suspended has expired once its time is over, at every node alike.

    That is not stored, since statements that come afterwards must find the same state everywhere; no job may cite
    an agreement whose time is over, whatever its state.
    """
    return EXPIRED if state in REPLACEABLE and now >= agreement.valid_until else state


def verify_signature(agreement: Agreement, signature: bytes, identity: PublicIdentity) -> None:
    """Return if ``signature`` is that of the party, or of the officer of a party, that ``identity`` claims to be.

    Raises AgreementError if the identity is not one that the agreement names, or has not signed these bytes.
    """
    require_signer(agreement, identity)
    try:
        identity.verify(SIGNED, agreement.canonical(), signature)
    except SignatureRefusedError as error:
        why = f"the signature of {identity.institution} is not valid"
        raise _refuse(agreement, why, error.blame) from error


def require_signer(agreement: Agreement, identity: PublicIdentity) -> Party:
    """The party for which ``identity`` may speak: as its node, or as an officer. Raises AgreementError."""
    party = agreement.party(identity.institution)
    if party is None:
        raise _refuse(agreement, f"{identity.institution} is not a party to it", identity.institution)
    if identity.role == OFFICER:
        officer = party.officer(identity.fingerprint)
        if officer is None or officer.name != identity.name:
            why = f"it does not name {identity.institution}/{identity.name} with this key as an officer"
            raise _refuse(agreement, why, f"whoever presented the key of {identity.institution}/{identity.name}")
    elif identity.fingerprint != party.key:
        why = f"it names another key for {party.institution} than the one presented"
        raise _refuse(agreement, why, f"whoever presented the key of {party.institution}")
    return party


def unsigned(agreement: Agreement, keys: Collection[str]) -> tuple[str, ...]:
    """The parties that are not bound yet, in the agreement's order; empty if it may become active.

    ``keys`` are the fingerprints of those whose signatures have been verified.
    """
    return tuple(party.institution for party in agreement.parties if not _bound(party, keys))


def after(agreement: Agreement, state: str, wishes: Iterable[Wish]) -> str:
    """The state that the signers' wishes put the agreement in, from ``state``.

    Any signer of a party suspends for the whole party, at once. To resume, and to terminate, takes as many of its
    officers as to sign (its node alone where it names none); resuming counts if it is newer than the suspension.
    """
    wishes = list(wishes)
    if state not in REPLACEABLE:
        return state
    if any(_ends(party, wishes) for party in agreement.parties):
        return TERMINATED
    return SUSPENDED if any(_holds_back(party, wishes) for party in agreement.parties) else ACTIVE


def verify_signatures(
    agreement: Agreement, signatures: Mapping[str, bytes], identities: Mapping[str, PublicIdentity]
) -> tuple[str, ...]:
    """As ``unsigned``, of ``signatures`` and ``identities`` by fingerprint, each of which is verified once more.

    Raises AgreementError for one that does not verify, or whose identity is not known.
    """
    for key, signature in signatures.items():
        identity = identities.get(key)
        if identity is None or identity.fingerprint != key:
            raise _refuse(agreement, f"the identity of {key[:16]} is not known here", "the coordinator")
        verify_signature(agreement, signature, identity)
    return unsigned(agreement, signatures)


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


def _bound(party: Party, keys: Collection[str]) -> bool:
    return party.key in keys and sum(officer.key in keys for officer in party.officers) >= party.officers_needed


def _agreed(party: Party, action: str, wishes: Iterable[Wish], after_ms: int) -> bool:
    """Whether as many of the party's signers as it takes asked for ``action`` after that moment."""
    said = {wish.signer for wish in wishes if wish.action == action and wish.at_ms > after_ms}
    if not party.officers:
        return party.key in said
    return sum(officer.key in said for officer in party.officers) >= party.officers_needed


def _ends(party: Party, wishes: Iterable[Wish]) -> bool:
    """Whether the party wants the end; who has asked to resume since does not."""
    wishes = list(wishes)
    resumed = {wish.signer: wish.at_ms for wish in wishes if wish.action == RESUME}
    return _agreed(party, TERMINATE, [wish for wish in wishes if wish.at_ms > resumed.get(wish.signer, -1)], -1)


def _holds_back(party: Party, wishes: Iterable[Wish]) -> bool:
    """Whether the party has suspended the agreement and not resumed it since."""
    wishes = list(wishes)
    signers = {party.key, *(officer.key for officer in party.officers)}
    suspended = [wish.at_ms for wish in wishes if wish.signer in signers and wish.action == SUSPEND]
    return bool(suspended) and not _agreed(party, RESUME, wishes, max(suspended))


def _refuse(agreement: Agreement, why: str, blame: str) -> AgreementError:
    return AgreementError(
        f"agreement {agreement.short} was refused: {why}",
        blame=blame,
        remedy="the parties' officers compare the agreement's hash and their fingerprints, then sign again",
    )
