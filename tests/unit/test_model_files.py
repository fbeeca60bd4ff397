"""A model in a file: its card, its answers, and what is refused of one that somebody changed by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from consortia_client.model_card import card
from consortia_client.pages import as_html, as_markdown, as_text
from consortia_common.documents.fitted import Model
from consortia_common.errors import DocumentError
from consortia_common.models.predict import predict
from consortia_common.models.scorecard import read
from tests.support.cli import as_json, consortia
from tests.unit.test_train_kind import LOGISTIC, NETWORK, TREES, banks, run

KINDS: dict[str, dict[str, Any]] = {
    "linear": LOGISTIC,
    "penalised": LOGISTIC | {"l2": "0.01"},
    "trees": TREES,
    "network": NETWORK | {"hidden": [3]},
}
CATEGORIES: dict[str, Any] = {"features": ["income", "age", "branch"], "categories": {"branch": ["north", "south"]}}


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """A result of each kind of model."""
    return {name: run(banks(model, **CATEGORIES)) for name, model in KINDS.items()}


@pytest.fixture(params=KINDS)
def file(request: pytest.FixtureRequest, results: dict[str, Any], tmp_path: Path) -> Path:
    """A result as `consortia job result --json` writes it."""
    path = tmp_path / "result.json"
    path.write_text(json.dumps(results[request.param]))
    return path


def test_a_card_tells_what_whose_and_how_good(file: Path, tmp_path: Path) -> None:
    shown = consortia("model", "show", file)
    assert shown.exit_code == 0, shown.output
    for text in ("credit-risk-model", "bank-a, bank-b, bank-c", "area under the ROC curve", "Limits"):
        assert text in shown.stdout
    html, markdown = tmp_path / "card.html", tmp_path / "card.md"
    assert consortia("model", "card", file, html).exit_code == 0
    assert consortia("model", "card", file, markdown).exit_code == 0
    assert html.read_text().count("<polyline") == 4
    assert "default-src 'none'" in html.read_text()
    assert markdown.read_text().startswith("# Model card: default\n")
    document = as_json(consortia("model", "show", file, "--json"))
    assert document["consortia_model"] == 1


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_answers_are_the_models(file: Path, tmp_path: Path, ending: str) -> None:
    table = pa.table({"income": [1000.0, 5000.0, None], "age": [30, 50, 70], "branch": ["north", "west", "south"]})
    data, out = tmp_path / f"data.{ending}", tmp_path / f"out.{ending}"
    (pq.write_table if ending == "parquet" else pa.csv.write_csv)(table, data)
    done = consortia("model", "predict", file, data, out)
    assert done.exit_code == 0, done.output
    found = pq.read_table(out) if ending == "parquet" else pa.csv.read_csv(out)
    columns = {
        "income": np.array([1000.0, 5000.0, np.nan]),
        "age": np.array([30.0, 50.0, 70.0]),
        "branch": np.array([0.0, np.nan, 1.0]),
    }
    model = read(file.read_text(), "the file")
    assert found["prediction"].to_pylist() == pytest.approx(predict(model, columns))


def test_a_model_becomes_an_onnx_file(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    done = consortia("model", "export", file, out, "--onnx")
    assert done.exit_code == 0, done.output
    inputs = {each.name: each.type for each in onnxruntime.InferenceSession(out).get_inputs()}
    assert inputs == {"income": "tensor(double)", "age": "tensor(double)", "branch": "tensor(string)"}


def test_a_models_file_is_written_out_as_it_is(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.json"
    assert consortia("model", "export", file, out).exit_code == 0
    assert out.read_bytes() == read(file.read_text(), "the file").canonical()
    missing = consortia("model", "export", "job-1", out)
    assert missing.exit_code == 2
    assert "give its --config" in missing.stderr


def test_a_column_that_is_not_there_or_holds_no_numbers_is_named(file: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"income": ["much"], "age": [1], "branch": ["north"]}), data)
    assert "column income holds no numbers" in consortia("model", "predict", file, data, out).stderr
    pq.write_table(pa.table({"income": [1]}), data)
    assert "no column age, branch" in consortia("model", "predict", file, data, out).stderr
    pq.write_table(pa.table({"income": [1], "age": [1], "branch": ["x"], "prediction": [1]}), data)
    assert "a column prediction already" in consortia("model", "predict", file, data, out).stderr
    data.write_bytes(b"PAR1 nothing")
    assert "no readable Parquet" in consortia("model", "predict", file, data, out).stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        ("linear", lambda fit: fit["weights"].pop(), "it is for 3 inputs, and the model has 4"),
        ("linear", lambda fit: fit.update(weights=["NaN"] * 4), "finite"),
        ("linear", lambda fit: fit.update(type="oracle"), "must be one of 'linear', 'trees', 'network'"),
        ("trees", lambda fit: fit["trees"][0][0].update(child=0), "do not make a tree"),
        ("trees", lambda fit: fit["trees"][0].append(fit["trees"][0][0]), "do not make a tree"),
        ("trees", lambda fit: fit["trees"][0][0].update(column=99), "does not have"),
        ("network", lambda fit: fit["weights"].pop(), "not as many as the layers have"),
        ("network", lambda fit: fit.update(sizes=[4, 3, 2]), "not as many as the layers have"),
    ],
)
def test_a_model_changed_by_hand_is_refused(results: dict[str, Any], kind: str, change: Any, why: str) -> None:
    document = json.loads(json.dumps(results[kind]["model"]))
    change(document["fit"])
    with pytest.raises(DocumentError, match=why):
        Model.from_value(document, "the file")


def test_another_number_is_another_model(results: dict[str, Any]) -> None:
    document = json.loads(json.dumps(results["linear"]["model"]))
    before = Model.from_value(document, "the file").hash()
    document["fit"]["intercept"] = "0.5"
    assert Model.from_value(document, "the file").hash() != before


def test_a_card_escapes_what_a_document_says(results: dict[str, Any]) -> None:
    document = json.loads(json.dumps(results["linear"]["model"]))
    document["origin"]["purpose"] = "<script>alert(1)</script>"
    page = card(Model.from_value(document, "the file"))
    assert "<script>" not in as_html(page)
    assert "<script>" not in as_markdown(page)
    assert "alert" in as_text(page)


@pytest.mark.parametrize(
    "text", ["", "{", '{"consortia_model": 1', '{"consortia_model": 1}', '{"model": 5, "consortia_model": 1}']
)
def test_what_is_no_model_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        read(text, "the file")
