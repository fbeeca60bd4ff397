"""Group commit: many threads have something to write, one of them writes for all.

Whoever comes while nobody writes takes the lead, stores what has gathered by then, and hands the lead to the first
of those who came in the meantime; each returns when its own is stored. There is no thread of its own and no waiting
for company: one caller alone is served at once; the more there are, the larger the batches become by themselves.
"""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

from consortia_crypto.errors import ConsortiaError

Item = TypeVar("Item")
Stored = TypeVar("Stored")


class _Ticket(Generic[Item, Stored]):
    """What one caller wants stored. ``wake`` is released when that is done, or when this caller has to lead."""

    __slots__ = ("done", "error", "items", "stored", "wake")

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.stored: list[Stored] = []
        self.error: BaseException | None = None
        self.done = False
        self.wake = Lock()
        self.wake.acquire()

    def finish(self, stored: list[Stored], error: BaseException | None) -> None:
        self.stored, self.error, self.done = stored, error, True
        self.wake.release()


class GroupCommit(Generic[Item, Stored]):
    """Calls ``store`` with at most ``limit`` items of one or more callers, from one thread at a time.

    ``store`` returns what was stored for each item, in order, or raises: then nobody's item counts as stored.
    """

    def __init__(self, store: Callable[[list[Item]], list[Stored]], limit: int) -> None:
        self._store = store
        self._limit = limit
        self._mutex = Lock()
        self._queue: deque[_Ticket[Item, Stored]] = deque()
        self._has_leader = False

    def commit(self, items: Sequence[Item]) -> list[Stored]:
        """Have ``items`` (at most ``limit``) stored next to each other; returns when they are, or raises."""
        if not 0 < len(items) <= self._limit:
            raise ValueError("a batch must have at least one item and may not exceed the limit")
        ticket: _Ticket[Item, Stored] = _Ticket(items)
        with self._mutex:
            self._queue.append(ticket)
            leads, self._has_leader = not self._has_leader, True
        if not leads:
            self._wait(ticket)
        if not ticket.done:
            self._lead()
        if ticket.error is not None:
            raise _own(ticket.error)
        return ticket.stored

    def _wait(self, ticket: _Ticket[Item, Stored]) -> None:
        try:
            ticket.wake.acquire()
        except BaseException:
            self._leave(ticket)
            raise

    def _leave(self, ticket: _Ticket[Item, Stored]) -> None:
        """Somebody who was interrupted waits no more; if the lead was handed to it, another must have it."""
        with self._mutex:
            leads = ticket.wake.acquire(blocking=False) and not ticket.done
            if ticket in self._queue:
                self._queue.remove(ticket)
            if leads:
                self._hand_on()

    def _lead(self) -> None:
        """Store what has gathered, and hand on the lead."""
        with self._mutex:
            tickets = self._take()
        stored: list[Stored] = []
        problem: BaseException | None = None
        try:
            stored = self._store([item for ticket in tickets for item in ticket.items])
        except BaseException as error:
            problem = error
        with self._mutex:
            self._hand_on()
        start = 0
        for ticket in tickets:
            end = start + len(ticket.items)
            ticket.finish(stored[start:end], problem)
            start = end

    def _take(self) -> list[_Ticket[Item, Stored]]:
        tickets = [self._queue.popleft()]
        count = len(tickets[0].items)
        while self._queue and count + len(self._queue[0].items) <= self._limit:
            tickets.append(self._queue.popleft())
            count += len(tickets[-1].items)
        return tickets

    def _hand_on(self) -> None:
        self._has_leader = bool(self._queue)
        if self._has_leader:
            self._queue[0].wake.release()


def _own(error: BaseException) -> BaseException:
    """The error anew for each caller, since a traceback belongs to one thread."""
    if isinstance(error, ConsortiaError):
        own = type(error)(error.what, blame=error.blame, remedy=error.remedy)
        own.__cause__ = error
        return own
    return error
