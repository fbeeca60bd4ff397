"""A model's file, edited by hand anywhere: refused with our error, or a model to be shown, used and exported."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_client.model_card import card
from consortia_client.onnx_export import to_onnx
from consortia_client.pages import as_html, as_markdown, as_text
from consortia_common.documents.fitted import Model
from consortia_common.models.predict import predict
from consortia_common.models.scorecard import read
from consortia_crypto.errors import ConsortiaError
from tests.support.models import KINDS, models
from tests.unit.test_train_kind import LOGISTIC, banks, run

Path = tuple[str | int, ...]
STRANGE = st.sampled_from(
    [
        None,
        "",
        "x",
        "NaN",
        "1e999999",
        "-1",
        -1,
        0,
        1,
        2**70,
        0.5,
        True,
        [],
        {},
        [[]],
        [None],
        {"x": 1},
        "\x00",
        "<b>",
    ]
) | st.text(max_size=5)
COLUMNS = {name: np.array([1.0, np.nan, 0.0]) for name in ("income", "age", "branch", "product")}


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a document."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in inside:
        yield from places(inner, (*path, name))


def edited(value: Any, path: Path, new: Any) -> Any:
    """The document with something else in one place."""
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = edited(value[path[0]], path[1:], new)
    return changed


def use(value: Any) -> bool:
    """Whether the document is a model; then everything that can be done with it is done."""
    try:
        model = read(json.dumps(value), "the file")
    except ConsortiaError:
        return False
    try:
        page = card(model)
        for form in (as_text, as_html, as_markdown):
            assert form(page)
        if set(model.columns) <= COLUMNS.keys():
            with np.errstate(all="ignore"):
                assert predict(model, COLUMNS).shape == (3,)
        to_onnx(model)
    except ConsortiaError:
        return False
    return True


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """What a job measured."""
    return dict(run(banks(LOGISTIC))["model"]["metrics"])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_edit_is_met_with_a_traceback(kind: str, data: st.DataObject) -> None:
    value = data.draw(models(kind)).model_dump(mode="json")
    assert use(value)
    place = data.draw(st.sampled_from(list(places(value))))
    use(edited(value, place, data.draw(STRANGE)))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_nor_are_edited_figures(measured: dict[str, Any], data: st.DataObject) -> None:
    value = data.draw(models("linear")).model_dump(mode="json") | {"metrics": measured}
    inside = [place for place in places(measured) if place]
    use(value | {"metrics": edited(measured, data.draw(st.sampled_from(inside)), data.draw(STRANGE))})


@given(st.binary(max_size=300))
def test_hostile_bytes_raise_only_our_error(data: bytes) -> None:
    with pytest.raises(ConsortiaError):
        Model.from_canonical(data, "the file")
    with pytest.raises(ConsortiaError):
        read('"consortia_model"' + data.decode("latin-1"), "the file")
