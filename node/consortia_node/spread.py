"""Spreads work on customers' rows over the machine's processors, where there is so much that it pays.

The processes get the key-encryption keys and rows through a pipe, keep nothing on disk, and end with the call; they
run as the node's own user. What is handed over must be picklable, and the function at the top of its module.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

Work = TypeVar("Work")
Done = TypeVar("Done")
PAYS_FROM_ROWS = 40_000
_MOST = 4


def spread(function: Callable[[Work], Done], batches: Iterable[Work], rows: int) -> Iterator[Done]:
    """``function`` of each batch, in order; in this process if there are few ``rows`` in all."""
    count = min(os.cpu_count() or 1, _MOST)
    if rows < PAYS_FROM_ROWS or count == 1:
        yield from map(function, batches)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_start) as pool:
        running: deque[Future[Done]] = deque()
        for batch in batches:
            running.append(pool.submit(function, batch))
            if len(running) > 2 * count:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _start() -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
