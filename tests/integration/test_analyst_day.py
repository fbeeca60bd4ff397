"""The example of an analyst's day: the script and the notebook, on the tests' own consortium."""

import json
from pathlib import Path

import nbformat
import onnxruntime
import pytest
from click.testing import CliRunner
from nbclient import NotebookClient

from consortia_common.models.scorecard import read
from examples.credit_risk import analyst_day
from tests.support.consortium import Consortium
from tests.support.specs import BANKS

NOTEBOOK = Path(analyst_day.__file__).with_name("analyst_day.ipynb")


@pytest.mark.slow
def test_the_script_goes_from_the_catalogue_to_the_card(consortium: Consortium, tmp_path: Path) -> None:
    with analyst_day.Consortium.connect(consortium.root / "analyst") as connected:
        told = analyst_day.play(connected, tmp_path, trees=1)
    assert told["institutions"] == list(BANKS)
    assert told["features"] == ["income", "age"]
    assert max(told["auc"].values()) > 0.7
    assert 0 < told["chance of the average customer"] < 1
    check_files(tmp_path)


def check_files(folder: Path) -> None:
    model = read((folder / "model.json").read_text(), "the model")
    assert model.origin.parties == BANKS
    assert "<polyline" in (folder / "model.html").read_text()
    assert "received by" in (folder / "model.md").read_text()
    assert {each.name for each in onnxruntime.InferenceSession(folder / "model.onnx").get_inputs()} == {
        "income",
        "age",
    }


def test_the_notebook_runs(consortium: Consortium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSORTIA_PROFILE", str(consortium.root / "analyst"))
    monkeypatch.setenv("CONSORTIA_MODELS", str(tmp_path))
    monkeypatch.setenv("CONSORTIA_TREES", "1")
    done = NotebookClient(nbformat.read(NOTEBOOK, 4), timeout=120).execute()
    shown = json.dumps([cell.get("outputs") for cell in done.cells])
    for text in ("intercept", "bank-a, bank-b, bank-c", "received by", "image/svg+xml"):
        assert text in shown
    check_files(tmp_path)


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, 4)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)


@pytest.mark.slow
def test_the_whole_day(tmp_path: Path) -> None:
    folder = tmp_path / "day"
    played = CliRunner().invoke(analyst_day.main, ["--folder", str(folder)], catch_exceptions=False)
    assert played.exit_code == 0, played.output
    assert "default" in (folder / "model.md").read_text()
