"""One name for different things at two institutions: refused at plan time by whoever declares it differently."""

from typing import Any

import pytest

from consortia_common.documents.jobspec import JobSpec
from consortia_node.datasets import ColumnSettings
from consortia_node.uses import decide_uses
from tests.support.specs import BANKS, spec
from tests.support.tables import dataset

DECLARED = {
    "income": ColumnSettings(type="number"),
    "age": ColumnSettings(type="integer"),
    "region": ColumnSettings(type="category", values=(1, 2, 3)),
    "default": ColumnSettings(type="boolean", role="label"),
}


def refused(asked: JobSpec, **columns: ColumnSettings) -> str:
    held = dataset(None, DECLARED | columns)  # type: ignore[arg-type]
    decision = decide_uses(asked, BANKS[1], [held])
    assert decision.clause in {"", "node.datasets"}
    return decision.sentence


@pytest.mark.parametrize("kind", ["statistics", "train"])
def test_what_is_declared_as_the_job_takes_it_is_accepted(kind: str) -> None:
    assert not refused(spec(kind, parties=BANKS))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"income": ColumnSettings(type="category")}, "income of clients as numbers, which is of type category"),
        ({"age": ColumnSettings(type="date")}, "age of clients as numbers, which is of type date"),
        ({"default": ColumnSettings(type="number")}, "default of clients as a label, which is of type number"),
        (
            {"region": ColumnSettings(type="category", values=("north", "south"))},
            "region of clients as categories that are whole numbers, which is a category of text",
        ),
        ({"region": ColumnSettings(type="number")}, "region of clients as categories that are whole numbers"),
    ],
)
def test_another_type_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    assert words in refused(spec("statistics", parties=BANKS), **changes)


def test_categories_that_are_whole_numbers_may_be_taken_as_numbers() -> None:
    assert not refused(spec("train", parties=BANKS), income=DECLARED["region"])
    words = ColumnSettings(type="category", values=("a", "b"))
    assert "income of clients as numbers, which is a category of text" in refused(
        spec("train", parties=BANKS), income=words
    )


def test_a_dataset_that_the_job_does_not_read_is_not_looked_at() -> None:
    asked = spec("statistics", parties=BANKS, dataset="other")
    assert not refused(asked, income=ColumnSettings(type="category"))
