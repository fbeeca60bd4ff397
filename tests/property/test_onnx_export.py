"""A model as an ONNX file answers in onnxruntime what it answers here, for whatever a row holds."""

from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_client.errors import ClientError
from consortia_client.onnx_export import to_onnx
from consortia_client.predicting import columns_of
from consortia_common.documents.fitted import Model
from consortia_common.models.predict import predict
from tests.support.models import CATEGORIES, KINDS, models, rows


def answers(file: bytes, table: dict[str, Any]) -> Any:
    """What onnxruntime makes of these rows."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options)
    given = {
        name: np.array(["" if value is None else str(value) for value in table[name]])
        if name in CATEGORIES
        else np.array([np.nan if value is None else value for value in table[name]])
        for name in (each.name for each in session.get_inputs())
    }
    return session.run(["prediction"], given)[0]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_onnxruntime_answers_what_the_model_answers(kind: str, data: st.DataObject, seed: int) -> None:
    model, table = data.draw(models(kind)), rows(seed)
    expected = predict(model, columns_of(model, pa.table(table), "the rows"))
    found = answers(to_onnx(model), table)
    assert found.shape == (40,)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 64])
def test_columns_of_many_categories_and_single_rows(count: int) -> None:
    """More categories than a word has bits, and each of them apart."""
    names = [f"c{place}" for place in range(count)]
    tree = [
        {"value": "0", "rows": 2, "column": 0, "among": list(range(0, count, 2)), "missing_left": True, "child": 1},
        {"value": "1", "rows": 1},
        {"value": "2", "rows": 1},
    ]
    fit = {"type": "trees", "columns": ["branch"], "start": "0", "learning_rate": "1", "trees": [tree]}
    value = {"label": "y", "link": "identity", "categories": {"branch": names}, "fit": fit}
    file = to_onnx(Model.from_value(value, "the test"))
    assert answers(file, {"branch": [*names, None]}).tolist() == [*(1 + place % 2 for place in range(count)), 1]
    assert answers(file, {"branch": ["c0"]}).tolist() == [1]


def test_the_file_says_whose_model_it_is() -> None:
    value = {
        "label": "y",
        "link": "identity",
        "inputs": [{"kind": "number", "column": "x"}],
        "fit": {"type": "linear", "weights": ["2"], "intercept": "1"},
        "origin": {"agreement": "risk@1", "purpose": "research", "parties": ["bank-a", "bank-b"]},
    }
    model = Model.from_value(value, "the test")
    file = to_onnx(model)
    assert file == to_onnx(model)
    said = onnxruntime.InferenceSession(file).get_modelmeta()
    assert said.custom_metadata_map["digest"] == model.hash()
    assert said.custom_metadata_map["institutions"] == "bank-a, bank-b"
    assert said.producer_name == "consortia"


def test_a_column_can_not_have_the_answers_name() -> None:
    value = {
        "label": "y",
        "link": "identity",
        "inputs": [{"kind": "number", "column": "prediction"}],
        "fit": {"type": "linear", "weights": ["2"], "intercept": "1"},
    }
    with pytest.raises(ClientError, match="named prediction"):
        to_onnx(Model.from_value(value, "the test"))
