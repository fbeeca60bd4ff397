"""Statistics: what the banks find together is what numpy finds in all their rows, and small groups do not show."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_node.errors import StepError
from consortia_node.kinds.statistics import merge_small
from tests.support.consortium import BANKS, spec
from tests.support.work import Banks


def made(rows: int, seed: int) -> dict[str, list[float]]:
    generator = np.random.default_rng(seed)
    return {
        "income": np.round(generator.gamma(4, 800, rows), 2).tolist(),
        "age": generator.integers(20, 80, rows).tolist(),
        "region": generator.integers(1, 4, rows).tolist(),
        "default": generator.integers(0, 2, rows).tolist(),
    }


def banks(min_cell: int = 1, tables: Mapping[str, Any] | None = None, **parameters: Any) -> Banks:
    shares = tables or {bank: made(50 + 30 * index, index) for index, bank in enumerate(BANKS)}
    job = spec("statistics", **parameters)
    return Banks(job, {bank: {"clients": table} for bank, table in shares.items()}, min_cell)


def result(of: Banks) -> Mapping[str, Any]:
    of.add("query.tabulate")
    return of.results()[0]


def pooled(of: Banks) -> dict[str, np.ndarray]:
    tables = [work.tables["clients"] for work in of.works.values()]
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def assert_describes(found: Mapping[str, Any], rows: dict[str, np.ndarray]) -> None:
    assert found["count"] == len(rows["default"])
    assert found["label_rate"] == pytest.approx(rows["default"].mean(), rel=1e-11)
    for column in ("income", "age"):
        assert found["columns"][column]["mean"] == pytest.approx(rows[column].mean(), rel=1e-11)
        assert found["columns"][column]["std"] == pytest.approx(rows[column].std(ddof=1), rel=1e-11)


def test_overall_and_by_group_it_is_what_numpy_finds() -> None:
    together = banks()
    found, rows = result(together), pooled(together)
    assert (found["kind"], found["parties"], found["by"]) == ("statistics", list(BANKS), "region")
    assert_describes(found["overall"], rows)
    assert list(found["groups"]) == ["1", "2", "other"]
    for name, code in (("1", 1), ("2", 2), ("other", 3)):
        chosen = rows["region"] == code
        assert_describes(found["groups"][name], {column: values[chosen] for column, values in rows.items()})


def test_without_label_and_groups_there_are_none() -> None:
    found = result(banks(label=None, by=None, groups=[]))
    assert set(found) == {"kind", "parties", "overall"}
    assert set(found["overall"]) == {"count", "columns"}


def test_a_column_may_be_described_and_be_the_label_or_the_group() -> None:
    together = banks(columns=["default", "region", "income"])
    found, rows = result(together)["overall"]["columns"], pooled(together)
    for column in ("default", "region", "income"):
        assert found[column]["mean"] == pytest.approx(rows[column].mean(), rel=1e-11)


def test_a_group_that_nobody_is_in_is_left_out() -> None:
    assert list(result(banks(groups=[1, 2, 3, 99]))["groups"]) == ["1", "2", "3"]


def test_all_banks_find_the_same() -> None:
    together = banks()
    together.add("query.tabulate")
    assert len(together.results()) == len(BANKS)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(0, 3))
def test_no_released_group_is_small_nor_is_what_is_missing(seed: int, min_cell: int, decimals: int) -> None:
    tables = {bank: made(20, seed + index) for index, bank in enumerate(BANKS)}
    together = banks(min_cell, tables, groups=[1, 2, 3], decimals=decimals)
    groups = result(together).get("groups", {})
    counts = [group["count"] for group in groups.values()]
    assert all(count >= min_cell for count in counts)
    assert sum(counts) == 60


def row(count: int) -> np.ndarray:
    return np.array([count, 1])


@pytest.mark.parametrize(
    ("counts", "kept"),
    [
        ({"1": 20, "2": 30, "other": 10}, {"1": 20, "2": 30, "other": 10}),
        ({"1": 20, "2": 3, "other": 10}, {"1": 20, "other": 13}),
        ({"1": 20, "2": 3, "other": 0}, {"other": 23}),
        ({"1": 20, "2": 30, "3": 3, "other": 0}, {"2": 30, "other": 23}),
        ({"1": 20, "2": 30, "other": 9}, {"2": 30, "other": 29}),
        ({"1": 4, "2": 3, "3": 5, "4": 50}, {"4": 50, "other": 12}),
        ({"1": 20, "2": 0, "other": 0}, {"1": 20}),
        ({"1": 4, "other": 5}, {}),
        ({}, {}),
    ],
)
def test_small_groups_are_merged(counts: dict[str, int], kept: dict[str, int]) -> None:
    merged = merge_small({name: row(count) for name, count in counts.items()}, 10)
    assert {name: int(words[0]) for name, words in merged} == kept


def test_too_few_rows_altogether_are_not_described() -> None:
    few = {bank: made(3, index) for index, bank in enumerate(BANKS)}
    together = banks(10, few)
    with pytest.raises(StepError, match="fewer rows than the 10"):
        result(together)


def test_a_label_that_is_none_is_refused() -> None:
    table = made(10, 1) | {"default": [0, 1, 2] + [0] * 7}
    with pytest.raises(StepError, match="other than 0 and 1"):
        banks(tables=dict.fromkeys(BANKS, table)).add("query.tabulate")


def test_a_value_that_does_not_fit_names_no_value() -> None:
    table = made(10, 1) | {"income": [4e9] * 10}
    with pytest.raises(StepError, match="the most that fits with 2 decimals") as refused:
        banks(tables=dict.fromkeys(BANKS, table)).add("query.tabulate")
    assert "4000000000" not in str(refused.value)
