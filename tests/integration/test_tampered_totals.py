"""A coordinator that hands out something else than the sealed sum: every bank refuses it, and says no more."""

from collections.abc import Callable

import pytest

from consortia_crypto.sum.coordinator import LatticeCoordinator
from consortia_crypto.sum.policy import Sealed
from tests.support.consortium import BANKS, Consortium, spec
from tests.support.evidence import cohort_files, kept_values
from tests.support.spoilt import check_explained, check_silent, in_this_process, reasons

Change = Callable[[tuple[bytes, ...]], tuple[bytes, ...]]


@pytest.fixture(autouse=True)
def _without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)


def bent(data: bytes) -> bytes:
    """One coefficient changed by one bit, high enough not to drown in the noise, and still in range."""
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda blocks: tuple(bent(block) for block in blocks), "roll call"),
        (lambda blocks: tuple(block[:-1] for block in blocks), "a ciphertext is not exactly"),
        (lambda blocks: tuple(b"\0" * len(block) for block in blocks), "header is not that"),
        (lambda blocks: (*blocks, blocks[0]), "another number of blocks"),
        (lambda _: (), "something else came"),
    ],
)
def test_it_is_refused_in_the_same_words_whatever_was_wrong(
    change: Change, detail: str, spoilt: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = LatticeCoordinator.add
    with monkeypatch.context() as tampering:
        tampering.setattr(LatticeCoordinator, "add", lambda *given: Sealed(change(honest(*given).blocks)))
        status = spoilt.run(spec("statistics"))
    assert status.state == "failed"
    for refusal in status.refusals:
        failure = refusal.failure
        check_explained(failure.what, failure.blame, failure.remedy)
        assert failure.what == "the sealed total was refused"
        assert "the coordinator" in failure.blame
        (logged,) = reasons(spoilt, refusal.institution, "ciphertext.refused", status.job_id)
        assert detail in logged
    check_silent(spoilt, str(status))
    assert not [bank for bank in BANKS if kept_values(spoilt, bank, status.job_id)]
    assert not [bank for bank in BANKS if cohort_files(spoilt, bank, status.job_id)]


def test_a_total_of_another_round_of_training(spoilt: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = LatticeCoordinator.add
    first: list[Sealed] = []

    def repeated(self: LatticeCoordinator, uploads: dict[str, Sealed]) -> Sealed:
        if "/update/" not in self._policy.session:
            return honest(self, uploads)
        first.append(honest(self, uploads))
        return first[0]

    with monkeypatch.context() as tampering:
        tampering.setattr(LatticeCoordinator, "add", repeated)
        status = spoilt.run(spec("train"))
    assert (status.state, len(first)) == ("failed", 2)
    assert {refusal.failure.what for refusal in status.refusals} == {"the sealed total was refused"}
    assert spoilt.run(spec("train")).state == "finished"
