"""The agreements that this node knows, their signatures and their state.

A signature enters only after it has been verified, an agreement becomes active only when every party's stands,
and the version it replaces ceases in the same transaction. Each change is logged before it is committed.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import Connection, Engine, Row, String, bindparam, delete, insert, select, update

from consortia_common.database import reading
from consortia_common.documents.agreement import Agreement, is_named
from consortia_crypto.keys import PublicIdentity
from consortia_node import agreement as rules
from consortia_node.errors import StoreError
from consortia_node.store.tables import agreement_signatures, agreement_wishes, agreements

_OF = bindparam("of_hash", type_=String)
_ROW = select(agreements).where(agreements.c.hash == _OF)
_SIGNATURES = select(agreement_signatures.c.signer, agreement_signatures.c.signature).where(
    agreement_signatures.c.hash == _OF
)
"""Both made once: each step of a job asks."""

Log = Callable[[], object]
"""Appends the audit entry of a change; whatever it raises undoes the change."""


Effect = Callable[[str], object]
"""Appends the audit entry of the state that an agreement comes to."""


@dataclass(frozen=True)
class StoredAgreement:
    """An agreement with its state and verified signatures, by the signer's fingerprint."""

    agreement: Agreement
    state: str
    signatures: Mapping[str, bytes]

    @property
    def missing(self) -> tuple[str, ...]:
        """The parties whose node, or too few of whose officers, have signed."""
        return rules.unsigned(self.agreement, self.signatures)

    @property
    def signed_by(self) -> tuple[str, ...]:
        """The parties that are bound by their signatures."""
        return tuple(party.institution for party in self.agreement.parties if party.institution not in self.missing)

    @property
    def signers(self) -> tuple[str, ...]:
        """Who has signed: institution/node, or institution/officer."""
        return tuple(
            f"{party.institution}/{name}"
            for party in self.agreement.parties
            for name, key in (("node", party.key), *((officer.name, officer.key) for officer in party.officers))
            if key in self.signatures
        )


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
        """Keep the signature of a party's node or officer. Raises AgreementError if it is not valid."""
        with self._engine.begin() as connection:
            stored = _stored(connection, _require(connection, digest))
            rules.verify_signature(stored.agreement, signature, identity)
            if identity.fingerprint not in stored.signatures:
                log()
                row = {"hash": digest, "signer": identity.fingerprint, "signature": signature}
                connection.execute(insert(agreement_signatures), row)

    def activate(self, digest: str, identities: Mapping[str, PublicIdentity], log: Log, effect: Effect) -> bool:
        """Put a fully signed proposal in force and retire its parent; whether it became active just now.

        A party that has asked for it before suspends it in the same moment.
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
            _settle(connection, digest, effect)
        return True

    def wish(self, digest: str, wish: rules.Wish, log: Log, effect: Effect) -> None:
        """Keep what a signer says besides signing, and put the agreement in the state that this asks for.

        When a signer asks for one thing several times, the newest counts; what is not newer changes nothing.
        """
        with self._engine.begin() as connection:
            _require(connection, digest)
            table = agreement_wishes.c
            here = table.hash == digest, table.signer == wish.signer, table.action == wish.action
            last = connection.scalar(select(table.at_ms).where(*here))
            if last is None or wish.at_ms > last:
                log()
                connection.execute(delete(agreement_wishes).where(*here))
                connection.execute(insert(agreement_wishes), {"hash": digest, **asdict(wish)})
                _settle(connection, digest, effect)

    def find(self, reference: str) -> StoredAgreement:
        """The one agreement that is meant. Raises StoreError for none or several.

        It is named by its id, its id@version, or these with the beginning of its hash, or by that of its hash
        alone; never by the beginning of a version, since risk@1 is not risk@10.
        """
        found = [stored for stored in self.all() if is_named(stored.agreement.reference, reference)]
        if len(found) != 1:
            raise StoreError(
                f"{len(found)} agreements here have the reference {reference[:80]!r}",
                blame="whoever asked for it",
                remedy="list the agreements with `consortia agreement list` and give more of the reference",
            )
        return found[0]

    def named(self, reference: str) -> StoredAgreement:
        """The agreement with exactly this id@version#hash, in its present state. Raises StoreError."""
        digest = reference.rpartition("#")[2]
        with reading(self._engine) as connection:
            return _stored(connection, _require(connection, digest))

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
    return connection.execute(_ROW, {"of_hash": digest}).one_or_none()


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
    signed = connection.execute(_SIGNATURES, {"of_hash": row.hash})
    signatures = {signer: bytes(signature) for signer, signature in signed}
    return StoredAgreement(_agreement(row.document, f"agreement {row.id}@{row.version}"), row.state, signatures)


@lru_cache(maxsize=64)
def _agreement(document: bytes, name: str) -> Agreement:
    """Read once, not for each task of each job: it is a function of its bytes alone. Its state is looked up."""
    return Agreement.from_canonical(document, f"{name} in the database")


def _versions(connection: Connection, name: str) -> list[rules.Version]:
    columns = (agreements.c.version, agreements.c.hash, agreements.c.state)
    rows = connection.execute(select(*columns).where(agreements.c.id == name))
    return [rules.Version(*row) for row in rows]


def _settle(connection: Connection, digest: str, effect: Effect) -> None:
    stored = _stored(connection, _require(connection, digest))
    state = rules.after(stored.agreement, stored.state, _wishes(connection, digest))
    if state != stored.state:
        effect(state)
        _advance(connection, digest, state)


def _wishes(connection: Connection, digest: str) -> list[rules.Wish]:
    table = agreement_wishes.c
    columns = (table.institution, table.signer, table.action, table.at_ms)
    return [rules.Wish(*row) for row in connection.execute(select(*columns).where(table.hash == digest))]


def _advance(connection: Connection, digest: str, to: str) -> None:
    state = rules.LIFE.advance(_require(connection, digest).state, to)
    connection.execute(update(agreements).where(agreements.c.hash == digest).values(state=state))
