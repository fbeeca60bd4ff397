"""Results in Python: flat tables of equal rows, frames, charts, and pages in which nothing steers a browser."""

import sys
from typing import Any

import pytest

from consortia_client import charts, page_parts
from consortia_client.believed import JobResult
from consortia_client.errors import MissingExtraError, ResultError
from consortia_client.results import Result
from consortia_client.tables import Table, tables_of
from tests.support.documents import agreement as make_agreement
from tests.support.results import JOB, STATISTICS, TRAIN, question, receipt
from tests.support.specs import BANKS


def made(document: dict[str, Any] | None = None, banks: tuple[str, ...] = BANKS) -> Result:
    opened = JobResult(JOB, question(), document, tuple(receipt(bank) for bank in banks))
    return Result(opened, make_agreement())


@pytest.mark.parametrize("document", [STATISTICS, TRAIN, {"kind": "odd", "x": [], "y": {"z": {"w": None}}}])
def test_every_table_has_rows_of_plain_values(document: dict[str, Any]) -> None:
    for name, table in tables_of(document).items():
        assert table.name == name
        assert table.rows
        assert all(
            value is None or isinstance(value, int | float | str) for row in table.rows for value in row.values()
        )
        assert {len(values) for values in table.as_columns().values()} == {len(table.rows)}


def test_statistics_are_laid_out_by_what_was_asked() -> None:
    tables = tables_of(STATISTICS)
    assert tables["overall"].rows == ({"count": 30, "label_rate": 0.5},)
    assert tables["groups"].rows[1] == {"region": "=1", "count": 20, "label_rate": 0.4}
    assert tables["columns"].rows[0] == {"column": "age", "region": None, "count": 29, "missing": 1, "mean": 40.5}
    assert tables["columns"].rows[1]["region"] == "<b>"
    assert tables["histograms"].rows[0] == {"column": "age", "low": None, "high": 18, "count": 1}
    assert tables["correlations"].rows[1] == {
        "first": "age", "second": "income", "covariance": 1.0, "correlation": None
    }  # fmt: skip
    assert tables["crosstab region product"].rows == ({"region": 1, "product": "x", "count": 7},)
    assert tables["association"].rows[0]["chi2"] == 1.5
    assert tables["evidence"].rows[0]["woe"] == 0.1
    assert tables["compare"].rows == ({"column": "age", "category": "2026q1", "psi": 0.01, "ks": 0.02},)
    assert tables["withheld"].rows == ({"region": "small"},)


def test_what_no_kind_foresaw_is_laid_out_by_its_shape() -> None:
    tables = tables_of(TRAIN)
    assert tables["rounds"].rows[1] == {"round": 2, "loss": 0.25}
    assert {"name": "model.intercept", "value": -1.5} in tables["result"].rows
    assert tables["model.features"].rows[0] == {"place": 0, "value": "age"}


def test_columns_of_several_types_become_one() -> None:
    table = Table("t", ({"a": 1, "b": "x"}, {"a": 2.5, "b": 3, "c": None}))
    assert table.columns == ("a", "b", "c")
    assert table.as_columns() == {"a": [1.0, 2.5], "b": ["x", "3"], "c": [None, None]}


def test_frames_have_the_tables_rows() -> None:
    result = made(STATISTICS)
    frame = result.to_pandas("columns")
    assert list(frame.columns) == ["column", "region", "count", "missing", "mean"]
    assert frame["mean"].tolist() == [40.5, 41.0, 40.2]
    arrow = result.to_arrow("histograms")
    assert arrow.column("low").to_pylist() == [None, 18, 50]
    assert result.to_pandas().shape == (1, 2)
    with pytest.raises(ResultError, match="no table nothing"):
        result.to_pandas("nothing")
    with pytest.raises(ResultError, match="has no table"):
        made(None).to_arrow()


def test_a_result_says_who_took_part_on_what_basis_and_how_exactly() -> None:
    facts = made(STATISTICS).facts
    assert facts["participants"] == "bank-a (1,000 rows), bank-b (1,000 rows), bank-c (1,000 rows)"
    assert facts["lawful basis"] == "consent"
    assert facts["noise"].startswith("none")
    assert facts["bytes"].startswith("90,000 up and 99,000 down before receipts; planned ")
    noisy = made(STATISTICS | {"noise": {"epsilon": 1.0, "sigma": 4.2}})
    assert noisy.facts["noise"] == "epsilon 1.0, sigma 4.2"
    assert made(STATISTICS, banks=BANKS[:2]).facts["dropped out"] == "bank-c"


def test_a_page_escapes_what_came_from_elsewhere() -> None:
    page = made(STATISTICS)._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "40.5" in page
    assert "columns" in repr(made(STATISTICS))
    long = Table("t", tuple({"a": place} for place in range(60)))
    assert "10 more rows" in page_parts.table("t", long.columns, long.cells())


def test_charts_are_of_what_is_told() -> None:
    chart = made(STATISTICS).histogram("age").to_dict()
    assert chart["title"] == "age: 1 rows beyond the range"
    assert [row["count"] for row in chart["data"]["values"]] == [20, 9]
    assert chart["data"]["values"][0]["floor"] == 0
    merged = Table(
        "histograms", tuple({"column": "x", "low": low, "high": high, "count": 8} for low, high in ((0, 1), (1, 5)))
    )
    assert [row["height"] for row in charts.histogram(merged, "x").to_dict()["data"]["values"]] == [8, 2]
    several = made(STATISTICS).comparison("mean", "region", "columns").to_dict()
    assert several["encoding"]["xOffset"]["field"] == "_part"
    bars = made(STATISTICS).comparison("label_rate", "region", "groups").to_dict()
    assert [row["region"] for row in bars["data"]["values"]] == ["=1"]
    with pytest.raises(ResultError, match="no column income"):
        made(STATISTICS).histogram("income")
    with pytest.raises(ResultError, match="no field sex"):
        made(STATISTICS).comparison("count", "sex", "groups")


@pytest.mark.parametrize(
    ("library", "use"),
    [
        ("pandas", lambda result: result.to_pandas()),
        ("pyarrow", lambda result: result.to_arrow()),
        ("altair", lambda result: result.histogram("age")),
    ],
)
def test_a_library_that_is_not_there_is_named(library: str, use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=f"needs {library}") as missing:
        use(made(STATISTICS))
    assert "pip install" in missing.value.remedy
