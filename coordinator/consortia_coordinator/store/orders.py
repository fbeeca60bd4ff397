"""What the operator's commands ask of the running coordinator, and who was revoked.

A command only stores an order, because the running coordinator is the one writer of its log; this one logs it
before it acts, and then notes what came of it. An order that a crash interrupted is taken again.
"""

import secrets
from dataclasses import dataclass

from sqlalchemy import Engine, and_, insert, select, update

from consortia_common.database import reading
from consortia_coordinator.store.members import REVOKED, is_member
from consortia_coordinator.store.tables import members, orders, revocations
from consortia_crypto import canonical
from consortia_crypto.keys import PublicIdentity

REVOKE, CONFIRM, AUTHORITY = "revoke", "confirm", "authority"


@dataclass(frozen=True)
class Order:
    """One row of the orders table. ``said``: the reason, or the fingerprint; ``by``: who gave the order."""

    type: str
    institution: str
    role: str
    name: str
    said: str
    by: str
    created_ms: int
    order_id: str = ""
    done_ms: int | None = None
    outcome: str = ""


@dataclass(frozen=True)
class Revoked:
    """An identity whose keys count no more, and the coordinator's signed statement of that."""

    identity: PublicIdentity
    document: bytes
    signature: bytes
    at_ms: int


class OrderStore:
    """Reads and writes of the orders and revocations tables; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def give(self, order: Order) -> str:
        """Store an order; its id."""
        order_id = secrets.token_hex(16)
        with self._engine.begin() as connection:
            connection.execute(insert(orders).values(vars(order) | {"order_id": order_id}))
        return order_id

    def get(self, order_id: str) -> Order:
        """The order of that id."""
        with reading(self._engine) as connection:
            row = connection.execute(select(orders).where(orders.c.order_id == order_id)).one()
        return Order(**row._mapping)

    def waiting(self) -> list[Order]:
        """The orders that are not done, oldest first."""
        query = select(orders).where(orders.c.done_ms.is_(None)).order_by(orders.c.created_ms, orders.c.order_id)
        with reading(self._engine) as connection:
            return [Order(**row._mapping) for row in connection.execute(query)]

    def finish(self, order: Order, outcome: str, now_ms: int) -> None:
        """Note what came of an order."""
        change = update(orders).where(orders.c.order_id == order.order_id)
        with self._engine.begin() as connection:
            connection.execute(change.values(done_ms=now_ms, outcome=outcome))

    def revoke(self, revoked: Revoked) -> None:
        """Let the member of that identity be none from now on, and keep what nodes are told of it."""
        identity = revoked.identity
        row = {
            "fingerprint": identity.fingerprint,
            "document": revoked.document,
            "signature": revoked.signature,
            "revoked_ms": revoked.at_ms,
        }
        same = and_(is_member(identity), members.c.identity == canonical.encode(identity.document()))
        with self._engine.begin() as connection:
            connection.execute(update(members).where(same).values(state=REVOKED))
            known = select(revocations.c.fingerprint).where(revocations.c.fingerprint == identity.fingerprint)
            if connection.scalar(known) is None:
                connection.execute(insert(revocations).values(row))

    def revoked(self) -> list[tuple[str, bytes, bytes]]:
        """Of every identity that was revoked: fingerprint, document and signature, oldest first."""
        query = select(revocations).order_by(revocations.c.revoked_ms, revocations.c.fingerprint)
        with reading(self._engine) as connection:
            return [(row.fingerprint, row.document, row.signature) for row in connection.execute(query)]

    def is_revoked(self, fingerprint: str) -> bool:
        """Whether these keys were revoked, whoever had them."""
        query = select(revocations.c.fingerprint).where(revocations.c.fingerprint == fingerprint)
        with reading(self._engine) as connection:
            return connection.scalar(query) is not None
