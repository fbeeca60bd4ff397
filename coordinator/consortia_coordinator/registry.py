"""What the operator's commands see and ask of the registry, whether the coordinator runs or not.

Commands read the database and store orders; the running coordinator logs and carries them out, see orders. One that
is not running does so at its next start, before it serves anybody.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from consortia_common import fingerprint_words
from consortia_coordinator.config import CoordinatorSettings
from consortia_coordinator.errors import CoordinatorError, not_enrolled
from consortia_coordinator.network import milliseconds
from consortia_coordinator.store.database import open_database
from consortia_coordinator.store.members import Member, MembersStore
from consortia_coordinator.store.orders import AUTHORITY, CONFIRM, REVOKE, Order, OrderStore
from consortia_crypto import canonical
from consortia_crypto.keys import PublicIdentity

WAIT_SECONDS = 5.0
_LOOK_SECONDS = 0.05


class Registry:
    """The registry of one coordinator's folder."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._members = MembersStore(engine)
        self._orders = OrderStore(engine)
        self._now = now

    def members(self) -> list[Member]:
        """Every member there ever was."""
        return self._members.all()

    def revoke(self, institution: str, role: str, name: str, reason: str, by: str) -> str:
        """Order that these members be none any more; an empty role or name means all. Returns the order's id.

        Raises CoordinatorError if there is no such active member.
        """
        found = [
            one for one in self._members.all() if one.state == "active" and _named(one, institution, role, name)
        ]
        if not found:
            raise CoordinatorError(
                f"there is no active member {'/'.join(filter(None, (institution, role, name)))}",
                blame="whoever gave the command",
                remedy="`consortia network members` shows them all",
            )
        return self._give(REVOKE, institution, role, name, reason, by)

    def confirm(self, institution: str, role: str, name: str, said: str, by: str) -> PublicIdentity:
        """Have it noted that the member's fingerprint was compared. Raises CoordinatorError if it differs."""
        identity = self._members.active(institution, role, name)
        if identity is None or not fingerprint_words.is_same(said, identity.fingerprint):
            raise not_enrolled(institution, role, name)
        self._give(CONFIRM, institution, role, name, identity.fingerprint, by)
        return identity

    def note(self, event: str, **fields: Any) -> None:
        """Have a change of the authority put on the log, which a command has made."""
        said = canonical.encode({"event": event, **fields}).decode()
        self._give(AUTHORITY, "", "", "", said, "")

    def outcome(self, order_id: str, seconds: float = WAIT_SECONDS) -> str:
        """What came of an order; empty if the coordinator does not run, or not yet."""
        deadline = time.monotonic() + seconds
        while True:
            order = self._orders.get(order_id)
            if order.done_ms is not None or time.monotonic() > deadline:
                return order.outcome
            time.sleep(_LOOK_SECONDS)

    def _give(self, kind: str, institution: str, role: str, name: str, said: str, by: str) -> str:
        return self._orders.give(Order(kind, institution, role, name, said, by, milliseconds(self._now())))


@contextmanager
def opened(settings: CoordinatorSettings) -> Iterator[Registry]:
    """The registry in the coordinator's database."""
    engine = open_database(settings.database_file)
    try:
        yield Registry(engine)
    finally:
        engine.dispose()


def _named(member: Member, institution: str, role: str, name: str) -> bool:
    who = member.identity
    return who.institution == institution and role in ("", who.role) and name in ("", who.name)
