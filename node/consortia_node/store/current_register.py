"""The register of consents as it is now, for every thread of the node; and the number by which it knows.

Every change of consent counts that number up in the same transaction. Trusted for: the register never outlives a
change; whoever reads gets what the caller's connection sees.
"""

import threading

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from consortia_node.keyring import Keyring
from consortia_node.spread import spread
from consortia_node.store.consent_batches import Batch, keys_of, read
from consortia_node.store.register import Register
from consortia_node.store.subjects import SubjectStore, count
from consortia_node.store.tables import counters

_COUNTER = "consent"


class CurrentRegister:
    """Opened from the customers' rows when the number says that there is another one."""

    def __init__(self, ring: Keyring) -> None:
        self._ring = ring
        self._opened: tuple[int, Register] | None = None
        self._opening = threading.Lock()

    def read(self, connection: Connection) -> Register:
        """The records in force, as ``connection`` sees them."""
        with self._opening:
            version = version_of(connection)
            if self._opened is None or self._opened[0] != version:
                keys = keys_of(self._ring)
                parts = SubjectStore(connection, self._ring).all_rows()
                batches = (Batch((), part, keys, 0) for part in parts)
                self._opened = version, Register.joined(list(spread(read, batches, count(connection))))
            return self._opened[1]

    def renew(self, version: int, register: Register) -> None:
        """Go on from what a change that is committed has made of it; call it with ``Keyring.lock`` held."""
        with self._opening:
            self._opened = version, register


def count_up(connection: Connection) -> int:
    """Let running jobs notice that consent has changed; the number that it has come to."""
    first = insert(counters).values(name=_COUNTER, value=1)
    more = first.on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + 1})
    connection.execute(more)
    return version_of(connection)


def version_of(connection: Connection) -> int:
    """The number that every change of consent makes larger."""
    return connection.scalar(select(counters.c.value).where(counters.c.name == _COUNTER)) or 0
