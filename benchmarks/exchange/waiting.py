"""Waiting for something that another process does."""

import threading
import time
from collections.abc import Callable

POLL_SECONDS = 0.05


def wait_until(done: Callable[[], bool], what: str, seconds: float = 60.0, pause: float = POLL_SECONDS) -> float:
    """Return when it is done; the seconds that this took. Raises RuntimeError after ``seconds``."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > seconds:
            raise RuntimeError(f"not within {seconds:.0f} s: {what}")
        threading.Event().wait(pause)
    return time.monotonic() - began
