"""Invitations and members: who may enrol, who belongs, and with which certificate.

An invitation is honoured once, and only after it is on the coordinator's log (``logged_ms``); using it and
admitting the member are one transaction. A member's certificate counts only with the key that the registry has for
it, the newest or the one before, so an older certificate of a name that was given anew is nobody's.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, and_, bindparam, insert, select, update

from consortia_common.database import reading
from consortia_common.tls import Peer
from consortia_coordinator.errors import EnrolmentError
from consortia_coordinator.store.tables import invitations, members
from consortia_crypto import canonical
from consortia_crypto.keys import PublicIdentity

ACTIVE, REVOKED = "active", "revoked"
_STANDING = select(members.c.state, members.c.tls_key, members.c.older_tls_key).where(
    members.c.institution == bindparam("of_institution"),
    members.c.role == bindparam("of_role"),
    members.c.name == bindparam("of_name"),
)
"""Made once: it is asked at each message."""


@dataclass(frozen=True)
class InvitationRecord:
    """One row of the invitations table; moments are Unix milliseconds."""

    invitation_id: str
    institution: str
    role: str
    name: str
    created_ms: int
    expires_ms: int
    logged_ms: int | None = None
    used_ms: int | None = None


@dataclass(frozen=True)
class Leaf:
    """A certificate as the registry keeps it: digests of its key and of its issuer, and when it ends."""

    tls_key: str
    issuer: str
    not_after_ms: int


@dataclass(frozen=True)
class Member:
    """One row of the members table."""

    identity: PublicIdentity
    state: str
    enrolled_ms: int
    leaf: Leaf
    roots_known: int
    confirmed_ms: int | None


class MembersStore:
    """Reads and writes of both tables; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def invite(self, record: InvitationRecord) -> None:
        """Store a new invitation."""
        with self._engine.begin() as connection:
            connection.execute(insert(invitations).values(vars(record)))

    def invitation(self, invitation_id: str) -> InvitationRecord | None:
        """The invitation of that id."""
        query = select(invitations).where(invitations.c.invitation_id == invitation_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
        return InvitationRecord(**row) if row else None

    def unlogged(self) -> list[InvitationRecord]:
        """Invitations that the coordinator's log does not have yet, oldest first."""
        query = (
            select(invitations)
            .where(invitations.c.logged_ms.is_(None))
            .order_by(invitations.c.created_ms, invitations.c.invitation_id)
        )
        with reading(self._engine) as connection:
            return [InvitationRecord(**row) for row in connection.execute(query).mappings()]

    def mark_logged(self, invitation_id: str, now_ms: int) -> None:
        """Note that the log has this invitation."""
        change = update(invitations).where(invitations.c.invitation_id == invitation_id)
        with self._engine.begin() as connection:
            connection.execute(change.values(logged_ms=now_ms))

    def admit(self, invitation_id: str, identity: PublicIdentity, leaf: Leaf, now_ms: int) -> None:
        """Use the invitation up and make ``identity`` an active member. Raises EnrolmentError if it was used."""
        key = {"institution": identity.institution, "role": identity.role, "name": identity.name}
        row: dict[str, Any] = {
            "identity": canonical.encode(identity.document()),
            "state": ACTIVE,
            "enrolled_ms": now_ms,
            "older_tls_key": None,
            "confirmed_ms": None,
            "roots_known": 0,
            **vars(leaf),
        }
        unused = and_(invitations.c.invitation_id == invitation_id, invitations.c.used_ms.is_(None))
        with self._engine.begin() as connection:
            if connection.execute(update(invitations).where(unused).values(used_ms=now_ms)).rowcount != 1:
                raise already_used(identity.institution)
            if connection.execute(update(members).filter_by(**key).values(row)).rowcount == 0:
                connection.execute(insert(members).values(key | row))

    def renew(self, peer: Peer, leaf: Leaf) -> None:
        """Note the certificate that ``peer`` is given; the one that it called with may be shown until it expires.

        If its answer gets lost, it calls again with that one, and gets another.
        """
        change = update(members).where(is_member(peer), members.c.state == ACTIVE)
        with self._engine.begin() as connection:
            connection.execute(change.values(older_tls_key=peer.key, **vars(leaf)))

    def note_roots(self, peer: Peer, known: int) -> None:
        """Note the newest list of roots that a member says it has."""
        change = update(members).where(is_member(peer), members.c.roots_known != known)
        with self._engine.begin() as connection:
            connection.execute(change.values(roots_known=known))

    def all(self) -> list[Member]:
        """Every member there ever was, in the order of their names."""
        query = select(members).order_by(members.c.institution, members.c.role, members.c.name)
        with reading(self._engine) as connection:
            return [_member(row) for row in connection.execute(query)]

    def confirm(self, identity: PublicIdentity, now_ms: int) -> None:
        """Note that somebody compared the fingerprint."""
        change = update(members).where(is_member(identity), members.c.state == ACTIVE).values(confirmed_ms=now_ms)
        with self._engine.begin() as connection:
            connection.execute(change)

    def standing(self, peer: Peer) -> str:
        """Why the member that a certificate names may not act; empty if it may."""
        named = {"of_institution": peer.institution, "of_role": peer.role, "of_name": peer.name}
        with reading(self._engine) as connection:
            row = connection.execute(_STANDING, named).one_or_none()
        if row is None:
            return "it has not enrolled"
        if row.state != ACTIVE:
            return "it was revoked"
        if peer.key not in (row.tls_key, row.older_tls_key):
            return "its certificate is an old one, for a key that was replaced"
        return ""

    def active(self, institution: str, role: str, name: str) -> PublicIdentity | None:
        """The identity of that member, if it is active."""
        query = select(members.c.identity).filter_by(institution=institution, role=role, name=name, state=ACTIVE)
        with reading(self._engine) as connection:
            data = connection.execute(query).scalar_one_or_none()
        return None if data is None else PublicIdentity.from_document(canonical.decode(data))

    def identities(self) -> list[bytes]:
        """Every active member's public identity as canonical JSON, in the order of their names."""
        query = (
            select(members.c.identity)
            .where(members.c.state == ACTIVE)
            .order_by(members.c.institution, members.c.role, members.c.name)
        )
        with reading(self._engine) as connection:
            return list(connection.execute(query).scalars())


def is_member(who: PublicIdentity | Peer) -> ColumnElement[bool]:
    """The row of the member of that name."""
    named = members.c.institution == who.institution, members.c.role == who.role, members.c.name == who.name
    return and_(*named)


def _member(row: Row[Any]) -> Member:
    identity = PublicIdentity.from_document(canonical.decode(row.identity))
    leaf = Leaf(row.tls_key, row.issuer, row.not_after_ms)
    return Member(identity, row.state, row.enrolled_ms, leaf, row.roots_known, row.confirmed_ms)


def already_used(institution: str) -> EnrolmentError:
    """The refusal of an invitation that has done its work."""
    return EnrolmentError(
        "the invitation has been used already",
        blame=f"{institution}, or whoever else had the file",
        remedy="if it was not you who used it, tell the network's operator at once; else ask for a new one",
    )
