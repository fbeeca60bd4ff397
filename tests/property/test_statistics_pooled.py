"""Statistics of any rows at any number of institutions are those of pandas and scipy on the pooled rows."""

import warnings
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
    "compare": {"column": "quarter", "base": 1},
}
RANGES = {"income": (-5000, 5000), "age": (0, 128)}
BINS = 8
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


@settings(max_examples=2, deadline=None)
@given(spread)
def test_a_few_rows_however_they_are_spread(shares: list[list[tuple[Any, ...]]]) -> None:
    check(shares)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(spread)
def test_whatever_the_rows_and_however_they_are_spread(shares: list[list[tuple[Any, ...]]]) -> None:
    check(shares)


shapes = st.tuples(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 400), min_size=3, max_size=6).filter(any),
    st.sampled_from([0.0, 0.05, 0.6]),
    st.sampled_from([0.1, 1.0, 3.0]),
)
"""A seed, how many rows each institution has, the share of nulls, and how skewed amounts are."""


def test_many_rows_and_an_institution_without_any() -> None:
    check(drawn(7, [300, 0, 120], 0.05, 1.0))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(shapes)
def test_many_rows_of_any_shape_nulls_skew_and_spread(shape: tuple[int, list[int], float, float]) -> None:
    check(drawn(*shape))


def drawn(seed: int, sizes: list[int], nulls: float, skew: float) -> list[list[tuple[Any, ...]]]:
    generator = np.random.default_rng(seed)

    def some(values: list[Any]) -> list[Any]:
        return [None if generator.random() < nulls else value for value in values]

    def share(size: int) -> list[tuple[Any, ...]]:
        income = np.round(generator.lognormal(3, skew, size) * generator.choice([-1, 1], size), 2).clip(-1e5, 1e5)
        columns = [income.tolist(), generator.binomial(128, 0.3, size).tolist()]
        columns += [generator.choice(["north", "south", "east"], size, p=[0.7, 0.2, 0.1]).tolist()]
        columns += [generator.integers(1, 3, size).tolist(), (generator.random(size) < 0.3).astype(int).tolist()]
        return list(zip(*map(some, columns), strict=True))

    return [share(size) for size in sizes]


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


def classes(column: str, values: pd.Series) -> pd.Series:
    """Of each value 0 below the range, 1 to BINS within, BINS + 1 above it; in whole steps of the spec's decimals,
    so that a value on an edge is on the same side for both."""
    low, high = (bound * 100 for bound in RANGES[column])
    steps = (values.astype(float) * 100).round()
    inner = pd.cut(steps, np.append(np.linspace(low, high, BINS + 1)[:-1], np.inf), right=False, labels=False) + 1
    return inner.where(steps >= low, 0).where(steps <= high, BINS + 1).astype(int)


def counted(codes: pd.Series) -> Any:
    return np.bincount(codes, minlength=BINS + 2)


def distributed(found: Any, pooled: pd.DataFrame) -> None:
    for column, (low, high) in RANGES.items():
        values = pooled[column].dropna()
        histogram = found["histograms"][column]
        expected_counts = counted(classes(column, values)).tolist() if len(values) else []
        assert [item["count"] for item in histogram["bins"]] == expected_counts
        if len(values) and values.between(low, high).all():
            assert 0 <= values.min() - histogram["min"] <= histogram["resolution"] + 1e-9
            assert 0 <= histogram["max"] - values.max() <= histogram["resolution"] + 1e-9
        for quantile in found["quantiles"][column]:
            if quantile["value"] is None:
                continue
            expected = np.quantile(values.astype(float), quantile["at"], method="inverted_cdf")
            assert abs(quantile["value"] - expected) <= quantile["error"] + 1e-9


def related(found: Any, pooled: pd.DataFrame) -> None:
    both = pooled[["income", "age"]].dropna().astype(float)
    if len(both) > 1:
        assert found["correlations"]["covariance"] == [
            [pytest.approx(value, rel=1e-8, abs=1e-6) for value in line] for line in both.cov().to_numpy()
        ]
        if (both.nunique() > 1).all():
            expected = stats.pearsonr(both["income"], both["age"]).statistic
            assert found["correlations"]["correlation"][0][1] == pytest.approx(expected, rel=1e-6, abs=1e-9)
    table = pd.crosstab(pooled["region"], pooled["quarter"])
    (told,) = found["crosstabs"]
    if min(table.shape) > 1:
        expected = stats.chi2_contingency(table, correction=False)
        assert near(told["chi2"], expected.statistic)
        assert (told["dof"], told["p"]) == (expected.dof, pytest.approx(expected.pvalue, abs=1e-8))
        assert near(told["cramers_v"], stats.contingency.association(table, method="cramer"))
    assert sum(cell["count"] for cell in told["cells"]) == len(pooled)
    informed(found["information"]["region"], pooled, pooled["region"])
    ages = pooled["age"].dropna()
    informed(found["information"]["age"], pooled, classes("age", ages))
    for column in RANGES:
        compared(found["compare"][column], pooled, column)


def informed(told: Any, pooled: pd.DataFrame, codes: pd.Series) -> None:
    """Weights and value by their definitions over the classes that are told, KS as scipy finds it over those."""
    rows = pd.DataFrame({"code": codes, "label": pooled["default"]}).dropna()
    known = rows["label"].value_counts()
    if not told["bins"] or known.empty:
        assert told["iv"] is None
        assert all((item["zeros"], item["ones"], item["woe"]) == (0, 0, None) for item in told["bins"])
        return
    zeros, ones = (np.array([item[name] for item in told["bins"]], float) for name in ("zeros", "ones"))
    if "category" not in told["bins"][0]:
        assert (zeros.sum(), ones.sum()) == (known[0], known[1])
    weights = [
        np.log(zero / zeros.sum() / (one / ones.sum())) if zero and one else None
        for zero, one in zip(zeros, ones, strict=True)
    ]
    assert [near(item["woe"], weight) for item, weight in zip(told["bins"], weights, strict=True)]
    known_weights = np.array([weight or 0.0 for weight in weights])
    assert near(told["iv"], float(((zeros / zeros.sum() - ones / ones.sum()) * known_weights).sum()))
    if "ks" in told:
        places = np.arange(len(zeros))
        samples = (np.repeat(places, counts.astype(int)) for counts in (zeros, ones))
        assert told["ks"] == pytest.approx(ks(*samples))


def compared(told: Any, pooled: pd.DataFrame, column: str) -> None:
    """Where no bins were put together, PSI by its definition and KS as scipy finds it; else no more than that."""
    values = pooled[[column, "quarter"]].dropna()
    codes = classes(column, values[column])
    part, base = codes[values["quarter"] == "other"], codes[values["quarter"] == "1"]
    if not told or told[0]["ks"] is None:
        return
    expected = ks(part, base)
    p, q = counted(part), counted(base)
    assert told[0]["ks"] <= expected + 1e-9
    if ((p > 0) == (q > 0)).all():
        p, q = p[p > 0] / p.sum(), q[q > 0] / q.sum()
        assert told[0]["ks"] == pytest.approx(expected)
        assert near(told[0]["psi"], float(((p - q) * np.log(p / q)).sum()))


def ks(part: Any, base: Any) -> float:
    """As scipy finds it; of some samples it can't say how probable that is, and warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(stats.ks_2samp(part, base).statistic)


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
