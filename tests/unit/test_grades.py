"""Column grades: what an institution will not sign."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from consortia_node.datasets import ColumnSettings, DatasetSettings
from consortia_node.errors import AgreementError
from consortia_node.grades import require_grades
from tests.support.documents import agreement


def dataset(**grades: int) -> DatasetSettings:
    columns = {name: ColumnSettings(type="number", grade=grade) for name, grade in grades.items()}
    return DatasetSettings.model_construct(name="clients", path=Path("clients.csv"), columns=columns)


def test_a_column_up_to_the_grade_is_signed_and_one_above_it_is_not() -> None:
    require_grades(agreement(), "bank-a", [dataset(income=3)])
    with pytest.raises(
        AgreementError, match=r"names clients.income \(grade 4, up to 3\) of bank-a above the agreed grade"
    ):
        require_grades(agreement(), "bank-a", [dataset(income=4)])


def test_what_the_agreement_does_not_name_here_may_have_any_grade() -> None:
    require_grades(agreement(), "bank-a", [dataset(income=3, salary=5)])
    require_grades(agreement(), "bank-c", [dataset(income=5)])


def test_the_highest_of_several_entries_counts() -> None:
    entries = [
        {"name": "clients", "owners": ["bank-a"], "columns": ["income"], "max_grade": grade} for grade in (2, 4)
    ]
    require_grades(agreement(datasets=entries), "bank-a", [dataset(income=4)])
    with pytest.raises(AgreementError, match="up to 4"):
        require_grades(agreement(datasets=entries), "bank-a", [dataset(income=5)])


def test_grades_are_from_1_to_5_and_3_unless_set() -> None:
    assert ColumnSettings(type="number").grade == 3
    for grade in (0, 6):
        with pytest.raises(ValidationError):
            ColumnSettings(type="number", grade=grade)
