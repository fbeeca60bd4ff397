"""What SEAL reads at the coordinator is read in a process of its own, whose end costs its sender only."""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consortia_coordinator.adding import AddRequest, Apart, CheckRequest, Here, LatticeKey, Workers
from consortia_coordinator.errors import CoordinatorError, StoppingError
from consortia_coordinator.totals import FileTotals
from consortia_crypto.errors import CiphertextError, PrivateKeyMaterialError
from consortia_crypto.sum import lattice, lattice_secret
from consortia_crypto.sum.masking import Mask
from consortia_crypto.sum.plans import RemovePlan
from tests.support.sealing import policy_of, seed_of

POLICY = policy_of(24, 100, engine="lattice")
SECRET = lattice_secret.new_secret()
PUBLIC = lattice_secret.public_part(SECRET)
KEY = LatticeKey("job", PUBLIC, "bank-0")
UPLOAD = lattice_secret.member_group(POLICY, SECRET).seal(0, np.arange(100), (Mask(seed_of("mask"), 1),)).tobytes()
PLAN = RemovePlan((Mask(seed_of("mask"), -1),))


class Deadly:
    """Calls ``function`` in the process that takes it out of its pickle: the worker, before it reads anything."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


def hostile(function: Any, *arguments: Any) -> AddRequest:
    """An upload of bank-1's that does this to the library that reads it."""
    return AddRequest(KEY, POLICY, Path("total"), Deadly(function, *arguments), "bank-1", True)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    made = Workers(2048, 60)
    yield made
    made.close()


def test_what_a_party_sent_is_read_in_another_process_and_gives_the_same_total(
    workers: Workers, tmp_path: Path
) -> None:
    here = FileTotals(tmp_path / "here", Here(lattice.LatticeCollector(POLICY, PUBLIC, "bank-0")), 0)
    apart = FileTotals(tmp_path / "apart", Apart(workers, POLICY, KEY), 0)
    for totals in (here, apart):
        for party in ("bank-0", "bank-1"):
            assert totals.receive(party, iter([UPLOAD]), "") == hashlib.sha256(UPLOAD).hexdigest()
            totals.add(party)
            totals.settle()
    assert apart.unmask(PLAN) == here.unmask(PLAN)
    apart.receive("bank-2", iter([b"\xff" * len(UPLOAD)]), "")
    with pytest.raises(CiphertextError) as caught:
        apart.add("bank-2")
    assert caught.value.blame == "bank-2"


def test_what_is_wrong_with_a_public_context_is_said_as_in_one_process(workers: Workers) -> None:
    torn = PUBLIC[: len(PUBLIC) // 2] + bytes(1000) + PUBLIC[len(PUBLIC) // 2 + 1000 :]
    for context, family in ((SECRET, PrivateKeyMaterialError), (torn, CiphertextError), (b"", CiphertextError)):
        with pytest.raises(family) as caught:
            workers.run(CheckRequest(LatticeKey("job", context, "bank-0")))
        assert type(caught.value) is family
        assert caught.value.blame == "bank-0"


@pytest.mark.parametrize(
    ("function", "argument", "seconds", "why"),
    [
        (os._exit, 139, 60, "ended unexpectedly"),
        (bytearray, 1 << 40, 60, "ended unexpectedly, perhaps for lack of memory"),
        (time.sleep, 60, 0.5, "took longer than"),
    ],
    ids=["crash", "memory", "time"],
)
def test_bytes_that_break_the_process_cost_their_sender_only(
    function: Any, argument: int, seconds: float, why: str
) -> None:
    workers = Workers(2048, seconds)
    try:
        with pytest.raises(CoordinatorError, match=why) as caught:
            workers.run(hostile(function, argument))
        assert caught.value.blame.startswith("bank-1, whose bytes it read")
    finally:
        workers.close()
    with pytest.raises(StoppingError):
        workers.run(CheckRequest(KEY))


def test_memory_of_the_process_is_bounded() -> None:
    """A gibibyte that the parent could have is not had in there."""
    workers = Workers(512, 60)
    try:
        with pytest.raises(CoordinatorError, match="lack of memory"):
            workers.run(hostile(bytearray, 1 << 30))
    finally:
        workers.close()


def test_masks_and_contexts_are_not_shown() -> None:
    assert "context" not in repr(KEY)
