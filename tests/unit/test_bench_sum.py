"""The benchmark of sealed sums measures what it says: right sums, all bytes, and no figure where there is none."""

import json
import time
from pathlib import Path

import pytest

from benchmarks import figures
from benchmarks.sum import alone, grid, leaks, nvflare, plain, plot, report, sealed, vectors
from benchmarks.sum.alone import Ledger, Shape
from benchmarks.sum.grid import MASKED, PLAIN

SHAPE = Shape(3, 5000)
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def _played(engine: grid.Engine, folder: Path, shape: Shape = SHAPE) -> Ledger:
    vectors.write_update(folder / "update", shape.length)
    ledger = Ledger(shape, apart=False)
    engine.play(ledger, folder)
    return ledger


@pytest.mark.parametrize("name", [PLAIN, MASKED])
def test_an_engine_adds_and_its_bytes_are_counted(name: str, tmp_path: Path) -> None:
    ledger = _played(grid.ENGINES[name], tmp_path)
    vector = 4 * SHAPE.length
    spent = ledger.sent / SHAPE.institutions - vector
    assert spent == 0 if name == PLAIN else 300 < spent < 2000


@pytest.mark.slow
@pytest.mark.parametrize("name", [grid.LATTICE, grid.CKKS, grid.SECAGG])
def test_every_peer_adds(name: str) -> None:
    (cost,) = grid.measure((SHAPE,), only=(name,)).values()
    assert cost.cpu["institution"] > 0
    assert cost.sent > 8 * SHAPE.length


def test_a_wrong_sum_has_no_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "add", lambda upload, total, first: plain.copy(upload, total))
    with pytest.raises(RuntimeError, match="the sum of plain is wrong"):
        _played(grid.ENGINES[PLAIN], tmp_path)


def test_an_act_alone_is_measured_and_its_preparation_is_not() -> None:
    def prepare() -> int:
        sum(range(20_000_000))
        return 1

    began = time.process_time()
    prepare()
    prepared = time.process_time() - began
    answer, cpu, memory = alone.alone(lambda ready, more: (b"x" * (64 << 20))[: ready + more], (2,), prepare)
    assert answer == b"xxx"
    assert cpu < prepared
    assert memory >= 60 << 20


def test_an_act_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="a party's act failed: ValueError: no"):
        alone.alone(_fail, (), None)


def _fail() -> None:
    raise ValueError("no")


def test_the_goals_are_of_the_measured_figures_only() -> None:
    assert report.cpu_goals({}) == []
    rounds = {
        report.MAIN: {
            "sealed_round": {"seconds": 3.0, "cpu": 2.0, "bytes": 8e7},
            "plain_round": {"seconds": 1.0, "cpu": 1.0, "bytes": 8e7},
        }
    }
    late = report.round_goals(rounds)[0]
    assert (late.ratio, late.met) == (3.0, False)


def test_figures_are_stored_as_they_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    line = figures.figure("a thing", 2.0, "ms", 4.0, "≤ 60 %", met=True)
    figures.show([line], "it", "that")
    assert "50.0%  ≤ 60 % met" in capsys.readouterr().out
    stored = json.loads(figures.store([line], "one").read_text())
    assert stored == [
        {"what": "a thing", "value": 2.0, "unit": "ms", "against": 4.0, "ratio": 0.5, "goal": "≤ 60 %", "met": True}
    ]


def test_without_the_extra_there_is_no_picture_and_a_word_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "consortia[plots]" in plot.draw({})


def test_who_learns_what_stands_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sealed-sum.md").read_text()
    assert leaks.markdown() in page


def test_the_policy_is_what_a_job_has() -> None:
    assert (sealed.policy_of(report.MAIN, "masked").colluding, sealed.WORD_BITS) == (3, 32)


def test_nvflares_job_is_filled_in_with_the_rounds_numbers(tmp_path: Path) -> None:
    job = nvflare._filled(tmp_path / "job", 1234, tmp_path / "stamps")
    assert not (job / "submit.py").exists()
    server, client = (
        json.loads((job / "app" / "config" / f"config_fed_{who}.json").read_text()) for who in ("server", "client")
    )
    assert server["components"][0]["args"] == {"length": 1234}
    assert server["workflows"][0]["args"]["num_rounds"] == nvflare.ROUNDS
    assert client["executors"][0]["executor"]["args"] == {"length": 1234, "stamps": str(tmp_path / "stamps")}


def test_a_peer_that_is_measured_beside_takes_the_place_of_the_one_that_was() -> None:
    kinds = {kind: {"seconds": 0.5, "cpu": 1.0, "bytes": 2e7} for kind in ("sealed_round", "plain_round")}
    measured = report.round_goals({Shape(3, 10**6): kinds}, {Shape(3, 10**6): (20.0, 5e8)})
    assert [(line.value, line.met) for line in measured[-2:]] == [(40.0, True), (25.0, True)]
    assert report.round_goals({Shape(3, 10**6): kinds})[-2].met is False
