"""What institutions declare differently is seen before a job adds it up."""

from consortia_client.offering import Offering
from consortia_common.documents.catalogue import CatalogueAnswer
from tests.support.documents import agreement

INCOME = {
    "name": "income",
    "type": "number",
    "role": "feature",
    "unit": "CNY",
    "grade": 3,
    "low": "0",
    "high": "50000",
}


def answer(institution: str, **changes: object) -> CatalogueAnswer:
    return CatalogueAnswer.from_value(
        {
            "network": "demo",
            "institution": institution,
            "question": "0" * 64,
            "agreement": "credit-risk@1",
            "datasets": [{"name": "clients", "rows": {"low": 0, "high": 64}, "columns": [INCOME | changes]}],
            "answered_ms": 1,
        },
        "the answer",
    )


def test_a_column_with_another_type_or_unit_or_meaning_is_marked() -> None:
    for changes in ({"type": "integer"}, {"unit": "EUR"}, {"meaning": "of the household"}, {"high": "1000"}):
        offering = Offering.of(agreement(), [answer("bank-a"), answer("bank-b", **changes)])
        income = next(column for column in offering.datasets[0].columns if column.name == "income")
        assert "bank-a: number" in income.differs
        assert "bank-b" in income.differs


def test_what_is_the_same_is_told_once_and_what_nobody_told_by_name_alone() -> None:
    told = (one for one in [answer("bank-a"), answer("bank-b")])
    columns = {column.name: column for column in Offering.of(agreement(), told).datasets[0].columns}
    income = columns.pop("income")
    assert (income.differs, income.allowed, income.unit) == ("", "0 to 50000", "CNY")
    assert all(column.type == "" for column in columns.values())


def test_who_does_not_own_a_dataset_has_no_say_in_it() -> None:
    offering = Offering.of(agreement(), [answer("bank-a"), answer("bank-z", type="integer")])
    assert not any(column.differs for dataset in offering.datasets for column in dataset.columns)
