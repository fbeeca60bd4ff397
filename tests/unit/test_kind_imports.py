"""Kinds are imported one at a time: CPython before 3.11.8 can't parse two sources in two threads."""

import importlib
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from consortia_common.documents import kinds


def test_two_threads_never_import_a_kind_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, imported = threading.Lock(), importlib.import_module
    crowded = []

    def import_module(name: str) -> ModuleType:
        crowded.append(not alone.acquire(blocking=False))
        try:
            threading.Event().wait(0.005)  # long enough for the others to come
            return imported(name)
        finally:
            if alone.locked():
                alone.release()

    monkeypatch.setattr(importlib, "import_module", import_module)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(kinds.parameters_of, kinds.names()))
    assert crowded == [False] * len(kinds.names())
