"""A coordinator that hands out something else than the sealed sum: every bank refuses it, and says no more."""

from collections.abc import Callable
from typing import Any

import pytest

from consortia_coordinator.addition import Addition
from consortia_coordinator.totals import FileTotals, MemoryTotals, Totals
from tests.support.consortium import Consortium
from tests.support.evidence import cohort_files, kept_values
from tests.support.specs import BANKS, spec
from tests.support.spoilt import check_explained, check_silent, in_this_process, reasons

Change = Callable[[bytes], bytes]


@pytest.fixture(autouse=True)
def _without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)


def tamper(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Have institutions get every frame of a total after ``change``."""
    for kind in (FileTotals, MemoryTotals):
        honest: Callable[[Any, int], list[bytes]] = kind.frames
        monkeypatch.setattr(kind, "frames", lambda *asked, honest=honest: [change(one) for one in honest(*asked)])


def refused(consortium: Consortium, job_id: str, bank: str) -> str:
    (logged,) = reasons(consortium, bank, "ciphertext.refused", job_id)
    return logged


@pytest.mark.parametrize(
    ("engine", "change", "detail"),
    [
        ("masked", lambda frame: bytes([frame[0] ^ 1]) + frame[1:], "not the sum of what the institutions sealed"),
        ("masked", lambda frame: b"\0" * len(frame), "not the sum of what the institutions sealed"),
        ("lattice", lambda frame: frame[:-3] + bytes([frame[-3] ^ 1]) + frame[-2:], "not the sum"),
        ("lattice", lambda frame: b"\0" * len(frame), "header is not that"),
    ],
    ids=["a bit", "nothing", "a bit of a coefficient", "no ciphertext"],
)
def test_it_is_refused_in_the_same_words_whatever_was_wrong(
    engine: str, change: Change, detail: str, spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as tampering:
        tamper(tampering, change)
        status = spoilt.run(spec("statistics", engine=engine))
    assert status.state == "failed"
    for refusal in status.refusals:
        failure = refusal.failure
        check_explained(failure.what, failure.blame, failure.remedy)
        assert failure.what == "the sealed total was refused"
        assert "the coordinator" in failure.blame
        assert detail in refused(spoilt, status.job_id, refusal.institution)
    check_silent(spoilt, str(status))
    assert not [bank for bank in BANKS if kept_values(spoilt, bank, status.job_id)]
    assert not [bank for bank in BANKS if cohort_files(spoilt, bank, status.job_id)]


@pytest.mark.parametrize("change", [lambda frame: frame[:-1], lambda frame: frame + b"\0", lambda _: b""])
def test_frames_of_another_length(change: Change, spoilt: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as tampering:
        tamper(tampering, change)
        status = spoilt.run(spec("statistics"))
    assert status.state == "failed"
    for refusal in status.refusals:
        assert "a frame of a total has the wrong length" in refusal.failure.what
        assert refusal.failure.blame == "the coordinator"


@pytest.mark.slow
def test_a_total_of_another_round_of_training(spoilt: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, made = MemoryTotals.frames, Addition.totals
    updates: set[int] = set()
    first: list[list[bytes]] = []

    def noted(self: Addition, added: int) -> Totals:
        totals = made(self, added)
        updates.update({id(totals)} if self.attempt.name == "update" else ())
        return totals

    def repeated(self: MemoryTotals, at: int) -> list[bytes]:
        """The total of the first round again."""
        if id(self) in updates:
            first.append(honest(self, at))
            return first[0]
        return honest(self, at)

    with monkeypatch.context() as tampering:
        tampering.setattr(Addition, "totals", noted)
        tampering.setattr(MemoryTotals, "frames", repeated)
        status = spoilt.run(spec("train"))
    assert (status.state, len(first)) == ("failed", 2)
    assert {refusal.failure.what for refusal in status.refusals} == {"the sealed total was refused"}
    assert spoilt.run(spec("train")).state == "finished"
