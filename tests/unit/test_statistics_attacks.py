"""An analyst who wants to know of a few: what one job tells, or several of them, never parts those from others."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_common.gate.guards import comparable
from consortia_node.stats.disclosure import merged_bins
from consortia_node.stats.expressions import Bracket
from consortia_node.stats.quantiles import Search, begun, closer
from tests.support.specs import BANKS, spec
from tests.support.work import Banks

SMALLEST = 10
BARE: dict[str, Any] = {"columns": [], "label": None, "by": [], "categories": {}}


def asked(rows: Mapping[str, Sequence[Any]], **parameters: Any) -> Any:
    """The result over these rows, which the first bank has, and none of the others."""
    nothing = {name: np.zeros(0, np.array(values).dtype) for name, values in rows.items()}
    tables = {bank: {"clients": rows if bank == BANKS[0] else nothing} for bank in BANKS}
    together = Banks(spec("statistics", **BARE | parameters), tables, SMALLEST)
    together.add("query.tabulate")
    return together.results()[0]


def test_chi_square_is_not_told_of_a_table_that_is_not_shown_whole() -> None:
    """With the margins it would leave one number open, and be an equation for it."""
    region = ["a"] * 40 + ["b"] * 40 + ["c"] * 40
    product = ["x"] * 37 + ["y"] * 3 + ["x"] * 20 + ["y"] * 20 + ["x"] * 25 + ["y"] * 15
    categories = {"region": ["a", "b", "c"], "product": ["x", "y"]}
    rows = {"region": region, "product": product}
    (table,) = asked(rows, crosstabs=[["region", "product"]], categories=categories)["crosstabs"]
    assert any(cell["count"] is None for cell in table["cells"])
    assert {table[name] for name in ("chi2", "p", "cramers_v")} == {None}


def test_neither_distribution_nor_extent_of_a_few_values_is_told() -> None:
    income = [70.0, 71.0, 900.0, *[None] * 60]
    ranges = {"income": [0, 1000]}
    found = asked({"income": income}, histograms=["income"], ranges=ranges)["histograms"]["income"]
    assert (found["bins"], found["min"], found["max"]) == ([], None, None)
    assert begun(0, 100_000, np.array([0, 2, *[0] * 18, 1, 0]), Decimal("0.5"), SMALLEST) is None


@pytest.mark.parametrize("place", [3, 47])
def test_the_extent_is_not_one_row_s_value(place: int) -> None:
    """The least or greatest value lies alone, far from all others."""
    counts = np.zeros(50, np.int64)
    counts[20:30] = 15
    counts[place] = 1
    before = merged_bins([np.where(np.arange(50) == place, 0, counts)], SMALLEST)
    assert slice(20, 21) in before
    (holding,) = [part for part in merged_bins([counts], SMALLEST) if part.start <= place < part.stop]
    assert counts[holding].sum() >= SMALLEST
    assert place - holding.start >= 2
    assert holding.stop - place >= 2


bins = st.lists(st.one_of(st.integers(0, 4), st.integers(0, 40)), min_size=8, max_size=8)


@settings(max_examples=25, deadline=None)
@given(bins, st.lists(bins, min_size=8, max_size=8))
def test_quantiles_at_every_rank_never_count_a_few(whole: list[int], finer: list[list[int]]) -> None:
    """Whoever asks for each rank in turn learns how many ranks have the same bracket: none, or enough."""
    counts = np.array(whole, np.int64)
    ends = np.array([0, *counts, 0])
    total = int(counts.sum())
    brackets: dict[Bracket | None, int] = {}
    for rank in range(1, total + 1):
        found = begun(0, 64, ends, (Decimal(rank) - Decimal("0.5")) / total, SMALLEST)
        if found is not None and not found.done:
            found = _closer(found, finer, counts)
        told = found.bracket if found else None
        brackets[told] = brackets.get(told, 0) + 1
    assert all(number >= SMALLEST for bracket, number in brackets.items() if bracket is not None)


def _closer(found: Search, finer: list[list[int]], counts: np.ndarray) -> Search:
    """The rows of the bracket, spread over its bins in some way."""
    rows = int(counts.cumsum()[-1])
    inside = int(counts[found.bracket.low // 8 : -(-found.bracket.end // 8)].sum())
    shares = np.array(finer[found.bracket.low // 8], np.float64) + 0.01
    spread = np.floor(shares / shares.sum() * inside).astype(np.int64)
    spread[-1] += inside - spread.sum()
    assert found.before + inside <= rows
    return closer(found, spread, SMALLEST)


def test_the_rate_of_a_few_labels_is_not_what_the_others_leave() -> None:
    """Region b has 40 rows, of which 3 have a label; with the rates of a and of all, theirs could be computed."""
    rows = {
        "region": ["a"] * 100 + ["b"] * 40 + ["c"] * 60,
        "default": [1] * 30 + [0] * 70 + [1, 0, 1] + [None] * 37 + [1] * 20 + [0] * 40,
    }
    found = asked(rows, label="default", by=["region"], categories={"region": ["a", "b", "c"]})
    rates = {group["group"]["region"]: group["label_rate"] for group in found["groups"]}
    assert rates["b"] is None
    assert list(rates.values()).count(None) >= 2


@pytest.mark.parametrize(("gaps", "shown"), [(0, True), (1, False), (30, True)])
def test_correlations_leave_out_none_or_enough_of_what_another_job_describes(gaps: int, shown: bool) -> None:
    rows = {"income": list(range(100)), "age": [None] * gaps + list(range(gaps, 100))}
    found = asked(rows, correlations=["income", "age"])["correlations"]
    assert (found["covariance"][0][0] is not None) == shown


def test_correlations_over_other_columns_are_another_division_of_the_rows() -> None:
    """Their complete rows may differ by one."""
    before, after, disjoint = (
        spec("statistics", **BARE, correlations=columns)
        for columns in (["income", "age"], ["age", "tenure", "income"], ["tenure", "visits"])
    )
    first, second, third = (
        {division.by: division.text for division in one.parameters.divisions()} for one in (before, after, disjoint)
    )
    assert comparable(before, after, BANKS[0])
    assert any(second[by] != text for by, text in first.items())
    assert not first.keys() & third.keys()
    again = spec("statistics", **BARE | {"columns": ["income"]}, correlations=["age", "income"])
    assert {division.by: division.text for division in again.parameters.divisions()} == first


def test_bins_of_one_job_do_not_cut_through_those_of_another() -> None:
    """Of information, of comparisons and of the histogram, each asked alone."""
    generator = np.random.default_rng(5)
    age = np.concatenate([generator.integers(0, 100, 120), [37, 38, 61]]).tolist()
    rows = {
        "age": age,
        "default": (generator.random(len(age)) < 0.4).astype(int).tolist(),
        "quarter": generator.choice(["q1", "q2"], len(age)).tolist(),
    }
    shape = {"ranges": {"age": [0, 100]}, "bins": 50}
    histogram = asked(rows, histograms=["age"], **shape)["histograms"]["age"]["bins"]
    information = asked(rows, information=["age"], label="default", **shape)["information"]["age"]["bins"]
    assert len(information) > 1
    assert {item["low"] for item in information} <= {item["low"] for item in histogram}


@pytest.mark.parametrize("how", [{"label": "late"}, {"columns": ["late"]}])
def test_a_rate_does_not_count_a_few(how: dict[str, Any]) -> None:
    """4 of 84 times 4.8 % would be the cell that a cross table withholds; so would the rest of the other groups."""
    region = ["a"] * 84 + ["b"] * 90 + ["c"] * 100
    late = [1] * 4 + [0] * 80 + [1] * 30 + [0] * 60 + [1] * 50 + [0] * 50
    rows = {"region": region, "late": late}
    found = asked(rows, by=["region"], categories={"region": ["a", "b", "c"]}, **how)

    def rate(told: Any) -> Any:
        return told["label_rate"] if "label" in how else told["columns"]["late"]["mean"]

    told = {one["group"]["region"]: rate(one) for one in found["groups"]}
    assert rate(found["overall"]) is not None
    assert told == {"a": None, "b": None, "c": 0.5}


def test_a_rate_of_all_does_not_count_a_few() -> None:
    assert asked({"late": [1] * 4 + [0] * 80}, label="late")["overall"]["label_rate"] is None


def test_cells_that_are_small_everywhere_leave_the_whole_alone() -> None:
    regions = [f"r{place % 20}" for place in range(60)]
    found = asked(
        {"region": regions, "income": [float(place) for place in range(60)]},
        by=["region"],
        columns=["income"],
        categories={"region": [f"r{place}" for place in range(20)]},
    )
    (group,) = found["groups"]
    assert (group["group"], group["count"]) == ({"region": "other"}, 60)
    assert len(found["merged"]["region"]) == 20
    assert found["overall"]["columns"]["income"]["mean"] == 29.5


some = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from(["x", "y", "z"]),
        st.one_of(st.none(), st.integers(0, 99)),
        st.sampled_from([0, 1, None]),
    ),
    min_size=SMALLEST,
    max_size=90,
)


@settings(max_examples=8, deadline=None)
@given(some)
def test_every_number_of_rows_that_is_told_is_none_or_enough(drawn: list[tuple[Any, ...]]) -> None:
    rows = dict(zip(("region", "product", "age", "default"), map(list, zip(*drawn, strict=True)), strict=True))
    rows |= {"age": np.array(rows["age"], object).tolist()}
    found = asked(
        {
            name: values if any(value is not None for value in values) else [0, *values[1:]]
            for name, values in rows.items()
        },
        columns=["age"],
        label="default",
        by=["region"],
        categories={"region": ["a", "b"], "product": ["x", "y"]},
        ranges={"age": [0, 100]},
        bins=10,
        histograms=["age"],
        crosstabs=[["region", "product"]],
        information=["age", "product"],
    )
    assert all(number is None or number == 0 or number >= SMALLEST for number in _numbers(found))


def _numbers(told: Any) -> list[int | None]:
    """Every count of rows in a result; how many values are missing is not protected."""
    if isinstance(told, list):
        return [number for item in told for number in _numbers(item)]
    if not isinstance(told, dict):
        return []
    own = [told[name] for name in ("count", "zeros", "ones") if name in told and not isinstance(told[name], dict)]
    return own + [number for item in told.values() for number in _numbers(item)]
