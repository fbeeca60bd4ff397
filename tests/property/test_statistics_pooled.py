"""Statistics of any rows at any number of institutions are those of pandas and scipy on the pooled rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from consortia_common.statistics.layout import LARGEST, MAX_ROWS, Field, Layout, Tally
from consortia_crypto.sum.terms import SumPolicy
from consortia_node.stats.words import from_words, to_words
from tests.support.specs import spec
from tests.support.work import Banks

PARAMETERS: dict[str, Any] = {
    "columns": ["income", "age"],
    "label": "default",
    "by": ["region"],
    "categories": {"region": ["north", "south"], "quarter": [1]},
    "ranges": {"income": [-5000, 5000], "age": [0, 128]},
    "bins": 8,
    "histograms": ["income", "age"],
    "quantiles": {"columns": ["income", "age"], "at": ["0.1", "0.5", "0.95"], "rounds": 3},
    "correlations": ["income", "age"],
    "crosstabs": [["region", "quarter"]],
    "information": ["region", "age"],
}
skewed = st.one_of(
    st.none(),
    st.floats(-100, 100).map(lambda x: round(x**3 / 10, 2)),
    st.integers(-(10**7), 10**7).map(lambda x: x / 100),
)
rows = st.tuples(
    skewed,
    st.one_of(st.none(), st.integers(0, 128)),
    st.sampled_from(["north", "south", "east", None]),
    st.sampled_from([1, 2, None]),
    st.sampled_from([0, 1, 1, None]),
)
NAMES = ("income", "age", "region", "quarter", "default")


def near(found: Any, expected: Any) -> bool:
    if found is None:
        return bool(pd.isna(expected))
    return bool(found == pytest.approx(expected, rel=1e-8, abs=1e-8))


spread = st.lists(st.lists(rows, max_size=12), min_size=3, max_size=6).filter(any)


@settings(max_examples=3, deadline=None)
@given(spread)
def test_a_few_rows_however_they_are_spread(shares: list[list[tuple[Any, ...]]]) -> None:
    check(shares)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(spread)
def test_whatever_the_rows_and_however_they_are_spread(shares: list[list[tuple[Any, ...]]]) -> None:
    check(shares)


def check(shares: list[list[tuple[Any, ...]]]) -> None:
    parties = [f"bank-{place}" for place in range(len(shares))]
    tables = {
        party: {"clients": dict(zip(NAMES, map(list, zip(*share, strict=True)), strict=True)) if share else _EMPTY}
        for party, share in zip(parties, shares, strict=True)
    }
    together = Banks(spec("statistics", parties=parties, **PARAMETERS), tables, 1)
    together.add("query.tabulate")
    for turn in (1, 2, 3):
        together.add("query.refine", turn)
    found: Any = together.results()[0]
    pooled = pd.DataFrame([row for share in shares for row in share], columns=NAMES)
    pooled["region"] = pooled["region"].where(pooled["region"].isin(["north", "south"]), "other")
    pooled["quarter"] = pooled["quarter"].eq(1).map({True: "1", False: "other"})
    described(found["overall"], pooled)
    for group in found["groups"]:
        described(group, pooled[pooled["region"] == group["group"]["region"]])
    assert sum(group["count"] for group in found["groups"]) == len(pooled)
    distributed(found, pooled)
    related(found, pooled)


def described(told: Any, pooled: pd.DataFrame) -> None:
    assert told["count"] == len(pooled)
    labels = pooled["default"].dropna()
    assert near(told["label_rate"], labels.mean() if len(labels) else None)
    for column in ("income", "age"):
        values = pooled[column].dropna().astype(float)
        figures = told["columns"][column]
        assert figures["count"] == (len(values) or None)
        for name, expected in (("mean", values.mean()), ("variance", values.var()), ("std", values.std())):
            assert near(figures[name], expected), (column, name)


def distributed(found: Any, pooled: pd.DataFrame) -> None:
    for column, (low, high) in (("income", (-5000, 5000)), ("age", (0, 128))):
        values = pooled[column].dropna().astype(float)
        # Whole steps of the spec's decimals, so that a value on an edge is on the same side for both.
        steps, edges = (values * 100).round(), np.linspace(low * 100, high * 100, 9)
        counts = np.histogram(steps, bins=edges)[0].tolist()
        told = [item["count"] for item in found["histograms"][column]["bins"]]
        assert told == [int((values < low).sum()), *counts, int((values > high).sum())]
        for quantile in found["quantiles"][column]:
            if quantile["value"] is None:
                continue
            expected = np.quantile(values, quantile["at"], method="inverted_cdf")
            assert abs(quantile["value"] - expected) <= quantile["error"] + 1e-9


def related(found: Any, pooled: pd.DataFrame) -> None:
    both = pooled[["income", "age"]].dropna().astype(float)
    if len(both) > 1:
        assert found["correlations"]["covariance"] == [
            [pytest.approx(value, rel=1e-8, abs=1e-6) for value in line] for line in both.cov().to_numpy()
        ]
    table = pd.crosstab(pooled["region"], pooled["quarter"])
    (told,) = found["crosstabs"]
    if min(table.shape) > 1:
        assert near(told["chi2"], stats.chi2_contingency(table, correction=False).statistic)
    assert sum(cell["count"] for cell in told["cells"]) == len(pooled)


_EMPTY = {"income": np.zeros(0), "age": np.zeros(0, int), "region": np.zeros(0, str), "quarter": [], "default": []}

WIDE = Layout(Tally(()), (Field("rows"), Field("sum", ("x",)), Field("squares", ("x",))))
numbers = st.tuples(
    st.integers(0, MAX_ROWS),
    st.integers(-LARGEST * MAX_ROWS, LARGEST * MAX_ROWS),
    st.integers(0, LARGEST**2 * MAX_ROWS),
)


@given(st.lists(numbers, min_size=1, max_size=50))
def test_the_largest_numbers_of_all_institutions_neither_wrap_nor_lose_a_digit(
    tables: list[tuple[int, ...]],
) -> None:
    policy = SumPolicy("s", tuple(f"i{place}" for place in range(50)), 1, 64, WIDE.words)
    words = [to_words(table, WIDE) for table in tables]
    assert all(np.abs(one).max() <= policy.limit for one in words)
    assert from_words(np.sum(words, axis=0), WIDE) == [sum(column) for column in zip(*tables, strict=True)]
