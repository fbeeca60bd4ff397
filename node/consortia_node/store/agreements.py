"""The agreements that this node knows, their signatures and their state.

A signature enters only after it has been verified, an agreement becomes active only when every party's stands,
and the version it replaces ceases in the same transaction. Each change is logged before it is committed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update

from consortia_common.database import reading
from consortia_common.documents.agreement import Agreement
from consortia_crypto.keys import PublicIdentity
from consortia_node import agreement as rules
from consortia_node.errors import StoreError
from consortia_node.store.tables import agreement_signatures, agreements

Log = Callable[[], object]
"""Appends the audit entry of a change; whatever it raises undoes the change."""


@dataclass(frozen=True)
class StoredAgreement:
    """An agreement with its state and verified signatures, by institution."""

    agreement: Agreement
    state: str
    signatures: Mapping[str, bytes]

    @property
    def missing(self) -> tuple[str, ...]:
        """The parties that have not signed."""
        parties = (party.institution for party in self.agreement.parties)
        return tuple(institution for institution in parties if institution not in self.signatures)


class AgreementStore:
    """Reads and writes of agreements."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def propose(self, agreement: Agreement, log: Log) -> None:
        """Keep ``agreement`` as a proposal; one that is known already is left as it is."""
        with self._engine.begin() as connection:
            if _row(connection, agreement.hash()) is None:
                log()
                row = {
                    "hash": agreement.hash(),
                    "id": agreement.id,
                    "version": agreement.version,
                    "document": agreement.canonical(),
                    "state": rules.PROPOSED,
                }
                connection.execute(insert(agreements), row)

    def sign(self, digest: str, signature: bytes, identity: PublicIdentity, log: Log) -> None:
        """Keep the signature of ``identity``'s institution. Raises AgreementError if it is not valid."""
        with self._engine.begin() as connection:
            stored = _stored(connection, _require(connection, digest))
            rules.verify_signature(stored.agreement, signature, identity)
            if identity.institution not in stored.signatures:
                log()
                row = {"hash": digest, "institution": identity.institution, "signature": signature}
                connection.execute(insert(agreement_signatures), row)

    def activate(self, digest: str, identities: Mapping[str, PublicIdentity], log: Log) -> bool:
        """Put a fully signed proposal in force and retire its parent; whether it became active just now.

        Raises AgreementError if a signature does not verify or it is not the next version.
        """
        with self._engine.begin() as connection:
            stored = _stored(connection, _require(connection, digest))
            if stored.state != rules.PROPOSED:
                return False
            if rules.verify_signatures(stored.agreement, stored.signatures, identities):
                return False
            parent = rules.superseded_by(stored.agreement, _versions(connection, stored.agreement.id))
            log()
            if parent:
                _advance(connection, parent, rules.SUPERSEDED)
            _advance(connection, digest, rules.ACTIVE)
        return True

    def set_state(self, digest: str, to: str, log: Log) -> None:
        """Suspend, resume, terminate or expire. Raises StateError for a step that agreements can't take."""
        with self._engine.begin() as connection:
            _advance(connection, digest, to)
            log()

    def find(self, reference: str) -> StoredAgreement:
        """The one agreement whose id@version#hash, or hash, begins so. Raises StoreError for none or several."""
        found = [
            stored
            for stored in self.all()
            if stored.agreement.reference.startswith(reference) or stored.agreement.hash().startswith(reference)
        ]
        if len(found) != 1 or not reference:
            raise StoreError(
                f"{len(found)} agreements here have a reference that begins with {reference[:80]!r}",
                blame="whoever asked for it",
                remedy="list the agreements with `consortia agreement list` and give more of the reference",
            )
        return found[0]

    def citing(self, short: str) -> StoredAgreement | None:
        """What a job spec means by id@version: the one in force, else the newest known of that reference."""
        name, _, version = short.partition("@")
        with reading(self._engine) as connection:
            query = select(agreements).where(agreements.c.id == name, agreements.c.version == int(version))
            rows = connection.execute(query.order_by(agreements.c.hash)).all()
            rows = sorted(rows, key=lambda row: row.state == rules.PROPOSED)
            return _stored(connection, rows[0]) if rows else None

    def all(self) -> list[StoredAgreement]:
        """Every agreement, by id and version."""
        order = (agreements.c.id, agreements.c.version, agreements.c.hash)
        with reading(self._engine) as connection:
            return list(map(partial(_stored, connection), connection.execute(select(agreements).order_by(*order))))


def _row(connection: Connection, digest: str) -> Row[Any] | None:
    return connection.execute(select(agreements).where(agreements.c.hash == digest)).one_or_none()


def _require(connection: Connection, digest: str) -> Row[Any]:
    row = _row(connection, digest)
    if row is None:
        raise StoreError(
            f"there is no agreement with hash {digest[:16]} here",
            blame="whoever asked for it",
            remedy="propose the agreement first, or list those there are with `consortia agreement list`",
        )
    return row


def _stored(connection: Connection, row: Row[Any]) -> StoredAgreement:
    table = agreement_signatures.c
    query = select(table.institution, table.signature).where(table.hash == row.hash)
    signatures = {institution: bytes(signature) for institution, signature in connection.execute(query)}
    agreement = Agreement.from_canonical(row.document, f"agreement {row.id}@{row.version} in the database")
    return StoredAgreement(agreement, row.state, signatures)


def _versions(connection: Connection, name: str) -> list[rules.Version]:
    columns = (agreements.c.version, agreements.c.hash, agreements.c.state)
    rows = connection.execute(select(*columns).where(agreements.c.id == name))
    return [rules.Version(*row) for row in rows]


def _advance(connection: Connection, digest: str, to: str) -> None:
    state = rules.LIFE.advance(_require(connection, digest).state, to)
    connection.execute(update(agreements).where(agreements.c.hash == digest).values(state=state))
