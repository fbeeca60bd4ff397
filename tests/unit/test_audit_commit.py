"""Group commit: who writes for whom, and what happens when that fails or somebody gives up waiting."""

import threading

import pytest

from consortia_common.audit_commit import GroupCommit
from consortia_common.errors import LogStorageError


class Held:
    """A store that waits to be let go the first time, and notes every batch."""

    def __init__(self):
        self.batches, self.begun, self.go = [], threading.Event(), threading.Event()
        self.error = None

    def __call__(self, items):
        self.begun.set()
        assert self.go.wait(10)
        self.batches.append(list(items))
        if self.error:
            raise self.error
        return [item * 10 for item in items]


def queued(commit, count):
    """Wait until so many callers wait."""
    turn = threading.Event()
    while len(commit._queue) < count:
        turn.wait(0.001)


def callers(commit, store, *wishes):
    """One thread for each wish; the first leads while the others gather. What each got, by its first item."""
    results = {}

    def run(items):
        try:
            results[items[0]] = commit.commit(items)
        except BaseException as error:
            results[items[0]] = error

    threads = []
    for number, items in enumerate(wishes):
        thread = threading.Thread(target=run, args=(items,))
        thread.start()
        threads.append(thread)
        assert store.begun.wait(10)
        queued(commit, number)
    store.go.set()
    for thread in threads:
        thread.join(10)
    return results


def test_those_who_come_meanwhile_are_stored_together_in_their_order():
    store = Held()
    commit = GroupCommit(store, 8)
    results = callers(commit, store, [1], [2, 3], [4], [5, 6])
    assert store.batches == [[1], [2, 3, 4, 5, 6]]
    assert results == {1: [10], 2: [20, 30], 4: [40], 5: [50, 60]}
    assert commit.commit([7]) == [70]


def test_a_batch_is_never_larger_than_the_limit():
    store = Held()
    results = callers(GroupCommit(store, 3), store, [1], [2, 3], [4, 5], [6], [7, 8, 9])
    assert store.batches == [[1], [2, 3], [4, 5, 6], [7, 8, 9]]
    assert len(results) == 5
    for items in ([], [1, 2, 3, 4]):
        with pytest.raises(ValueError, match="batch"):
            GroupCommit(store, 3).commit(items)


def test_each_caller_of_a_failed_batch_gets_an_error_of_its_own():
    store = Held()
    store.error = LogStorageError("full", blame="the disk", remedy="free it")
    results = callers(GroupCommit(store, 8), store, [1], [2], [3])
    assert store.batches == [[1], [2, 3]]
    assert [error.what for error in results.values()] == ["full"] * 3
    assert len({id(error) for error in results.values()}) == 3


def test_whoever_gives_up_waiting_hands_the_lead_on():
    """An interrupt reaches a caller that waits; those behind it are stored all the same."""
    store = Held()
    commit = GroupCommit(store, 1)
    wait, gave_up = commit._wait, []

    def interrupted(ticket):
        if ticket.items == [2]:
            ticket.wake.acquire()  # the lead is handed to it, and then
            ticket.wake.release()
            commit._leave(ticket)
            gave_up.append(ticket)
            raise KeyboardInterrupt
        wait(ticket)

    commit._wait = interrupted
    results = callers(commit, store, [1], [2], [3])
    assert store.batches == [[1], [3]]
    assert isinstance(results[2], KeyboardInterrupt)
    assert results[3] == [30]
    assert commit.commit([4]) == [40]
