"""Statistics: what the banks find together is what numpy, pandas and scipy find in all their rows."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from consortia_common.content import Content
from consortia_node.errors import StepError
from tests.support.specs import BANKS, spec
from tests.support.work import Banks

PLAIN: dict[str, Any] = {"columns": [], "label": None, "by": [], "categories": {}}
RANGES = {"income": [0, 20000], "age": [0, 100]}


def made(rows: int, seed: int) -> dict[str, list[Any]]:
    generator = np.random.default_rng(seed)
    age = generator.integers(20, 80, rows)
    income: list[float | None] = np.round(generator.gamma(4, 800, rows) + 20 * age, 2).tolist()
    return {
        "income": [None if generator.random() < 0.1 else value for value in income],
        "age": age.tolist(),
        "region": generator.integers(1, 4, rows).tolist(),
        "product": generator.choice(["card", "loan", "account"], rows).tolist(),
        "quarter": generator.choice(["q1", "q2"], rows).tolist(),
        "default": (generator.random(rows) < 0.2 + 0.3 * (age > 50)).astype(int).tolist(),
    }


def banks(min_cell: int = 1, tables: Mapping[str, Any] | None = None, **parameters: Any) -> Banks:
    shares = tables or {bank: made(250 + 30 * index, index) for index, bank in enumerate(BANKS)}
    job = spec("statistics", **parameters)
    return Banks(job, {bank: {"clients": table} for bank, table in shares.items()}, min_cell)


def result(of: Banks) -> Mapping[str, Any]:
    of.add("query.tabulate")
    asked = next(iter(of.works.values())).spec.parameters.quantiles
    for turn in range(1, (asked.rounds if asked else 0) + 1):
        of.add("query.refine", turn)
    return of.results()[0]


def pooled(of: Banks) -> pd.DataFrame:
    return pd.concat([pd.DataFrame(work.tables["clients"]) for work in of.works.values()], ignore_index=True)


def close(found: Any, expected: Any) -> bool:
    return found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def assert_describes(found: Mapping[str, Any], rows: pd.DataFrame) -> None:
    assert found["count"] == len(rows)
    assert close(found["label_rate"], rows["default"].mean())
    for column in ("income", "age"):
        told, values = found["columns"][column], rows[column].dropna()
        assert (told["count"], told["missing"]) == (len(values), len(rows) - len(values))
        assert close(told["sum"], values.sum())
        assert close(told["mean"], values.mean())
        assert close(told["variance"], values.var())
        assert close(told["std"], values.std())


def test_overall_and_by_group_it_is_what_pandas_finds() -> None:
    together = banks()
    found, rows = result(together), pooled(together)
    assert (found["kind"], found["parties"], found["by"]) == ("statistics", list(BANKS), ["region"])
    assert_describes(found["overall"], rows)
    assert [group["group"]["region"] for group in found["groups"]] == ["1", "2", "other"]
    for group, code in zip(found["groups"], (1, 2, 3), strict=True):
        assert_describes(group, rows[rows["region"] == code])


def test_three_columns_to_group_by() -> None:
    categories = {"region": [1, 2], "product": ["card", "loan"], "quarter": ["q1", "q2"]}
    together = banks(by=list(categories), categories=categories)
    found, rows = result(together), pooled(together)
    rows["region"] = rows["region"].where(rows["region"] < 3, "other").astype(str)
    rows["product"] = rows["product"].replace("account", "other")
    expected = dict(iter(rows.groupby(list(categories))))
    assert len(found["groups"]) == len(expected) == 18
    for group in found["groups"]:
        assert_describes(group, expected[tuple(group["group"].values())])


def test_without_label_and_groups_there_are_none() -> None:
    found = result(banks(label=None, by=[], categories={}))
    assert set(found) == {"kind", "parties", "overall"}
    assert set(found["overall"]) == {"count", "columns"}
    assert set(result(banks(**PLAIN))["overall"]) == {"count"}


def test_a_column_may_be_described_and_be_the_label_or_the_group() -> None:
    together = banks(columns=["default", "region", "income"])
    found, rows = result(together)["overall"]["columns"], pooled(together)
    for column in ("default", "region", "income"):
        assert close(found[column]["mean"], rows[column].mean())


def test_a_group_that_nobody_is_in_is_left_out() -> None:
    found = result(banks(categories={"region": [1, 2, 3, 99]}))
    assert [group["group"]["region"] for group in found["groups"]] == ["1", "2", "3"]


def test_a_histogram_counts_as_numpy_does_and_merges_small_neighbours() -> None:
    asked = {"histograms": ["income", "age"], "ranges": RANGES, "bins": 40}
    together = banks(**PLAIN | asked)
    rows = pooled(together)
    found = result(together)["histograms"]
    counts, edges = np.histogram(rows["age"], bins=40, range=(0, 100))
    assert [item["count"] for item in found["age"]["bins"]] == [0, *counts.tolist(), 0]
    assert [item["low"] for item in found["age"]["bins"]] == [None, *edges.tolist()]
    assert (found["age"]["min"], found["age"]["max"], found["age"]["resolution"]) == (20, 80, 2.5)
    merged = result(banks(30, **PLAIN | asked))["histograms"]["income"]["bins"]
    assert all(item["count"] == 0 or item["count"] >= 30 for item in merged)
    assert sum(item["count"] for item in merged) == rows["income"].notna().sum()


def test_what_lies_outside_the_range_is_counted_there() -> None:
    together = banks(**PLAIN | {"histograms": ["age"], "ranges": {"age": [30, 60]}, "bins": 3})
    found, rows = result(together)["histograms"]["age"], pooled(together)
    counts = [item["count"] for item in found["bins"]]
    ages = rows["age"]
    within = [(ages >= low) & (ages < low + 10) for low in (30, 40)]
    expected = [ages < 30, *within, (ages >= 50) & (ages <= 60), ages > 60]
    assert counts == [int(chosen.sum()) for chosen in expected]
    assert (found["min"], found["max"]) == (None, None)


@pytest.mark.parametrize("rounds", [0, 1, 4])
def test_quantiles_are_within_the_stated_error(rounds: int) -> None:
    at = ["0.01", "0.25", "0.5", "0.5001", "0.9", "0.999"]
    asked = {"quantiles": {"columns": ["income", "age"], "at": at, "rounds": rounds}, "ranges": RANGES, "bins": 10}
    together = banks(**PLAIN | asked)
    found, rows = result(together)["quantiles"], pooled(together)
    for column in ("income", "age"):
        for told, share in zip(found[column], at, strict=True):
            expected = np.quantile(rows[column].dropna(), float(share), method="inverted_cdf")
            assert abs(told["value"] - expected) <= told["error"] + 1e-9
            assert told["error"] <= 10_000 / 10**rounds + 0.01 or rounds == 0
    if rounds == 4:
        assert found["age"][2]["error"] <= 0.01


def test_no_bracket_of_a_quantile_is_narrower_than_the_smallest_cell() -> None:
    asked = {"quantiles": {"columns": ["income"], "at": ["0.5", "0.998"], "rounds": 5}}
    asked |= {"ranges": {"income": [0, 20000]}}
    together = banks(25, **PLAIN | asked)
    rows = pooled(together)["income"].dropna()
    for told in result(together)["quantiles"]["income"]:
        low, high = told["value"] - told["error"], told["value"] + told["error"]
        assert ((rows >= low - 1e-9) & (rows <= high + 1e-9)).sum() >= 25


def test_a_quantile_outside_the_range_has_no_value() -> None:
    asked = {"quantiles": {"columns": ["age"], "at": ["0.01", "0.5"]}, "ranges": {"age": [40, 60]}}
    low, middle = result(banks(**PLAIN | asked))["quantiles"]["age"]
    assert (low["value"], low["error"]) == (None, None)
    assert middle["value"] is not None


def test_correlations_are_those_of_the_complete_rows() -> None:
    together = banks(**PLAIN | {"correlations": ["income", "age", "default"]})
    found, rows = result(together)["correlations"], pooled(together)[["income", "age", "default"]].dropna()
    assert found["count"] == len(rows)
    assert close(np.array(found["covariance"]), rows.cov().to_numpy())
    assert close(np.array(found["correlation"]), rows.corr().to_numpy())


@pytest.mark.parametrize(("gaps", "shown"), [(0, True), (3, False), (30, True)])
def test_correlations_of_all_but_a_few_of_a_described_columns_rows_are_not_shown(gaps: int, shown: bool) -> None:
    """Or two variances, with and without those few, would give their values."""
    tables = {bank: made(100, 1) | {"income": list(range(100))} for bank in BANKS}
    tables[BANKS[0]] |= {"age": [None] * gaps + tables[BANKS[0]]["age"][gaps:]}
    asked = PLAIN | {"columns": ["income"], "correlations": ["income", "age"]}
    found = result(banks(10, tables, **asked))["correlations"]
    assert (found["count"] is not None) == shown
    assert (found["covariance"][0][0] is not None) == shown


def test_bins_of_information_are_made_of_those_of_the_histogram() -> None:
    """Or a bin that one merges with its left and the other with its right neighbour would be their difference."""
    asked = {
        "histograms": ["age"],
        "information": ["age"],
        "label": "default",
        "ranges": {"age": [0, 100]},
        "bins": 50,
    }
    found = result(banks(25, **PLAIN | asked))
    edges = {item["low"] for item in found["histograms"]["age"]["bins"]}
    assert {item["low"] for item in found["information"]["age"]["bins"]} <= edges


def test_a_constant_column_correlates_withContent() -> None:
    tables = {bank: made(50, 1) | {"age": [7] * 50} for bank in BANKS}
    found = result(banks(tables=tables, **PLAIN | {"columns": ["age"], "correlations": ["income", "age"]}))
    assert found["correlations"]["correlation"][1] == [None, None]
    assert found["overall"]["columns"]["age"]["variance"] == 0


def test_cross_tables_are_those_of_scipy() -> None:
    asked = {"crosstabs": [["region", "product"]]}
    asked |= {"categories": {"region": [1, 2, 3], "product": ["card", "loan"]}}
    together = banks(**PLAIN | asked)
    (found,) = result(together)["crosstabs"]
    table = pd.crosstab(pooled(together)["region"], pooled(together)["product"])[["card", "loan", "account"]]
    expected = stats.chi2_contingency(table, correction=False)
    assert close(found["chi2"], expected.statistic)
    assert found["dof"] == expected.dof
    assert found["p"] == pytest.approx(expected.pvalue, rel=1e-5)
    assert close(found["cramers_v"], stats.contingency.association(table.to_numpy()))
    assert [cell["count"] for cell in found["cells"]] == table.to_numpy().ravel().tolist()


def test_information_value_and_weight_of_evidence() -> None:
    asked = {"information": ["age", "product"], "label": "default", "ranges": {"age": [0, 100]}, "bins": 5}
    together = banks(**PLAIN | asked | {"categories": {"product": ["card", "loan"]}})
    found, rows = result(together)["information"], pooled(together)
    ages = pd.cut(rows["age"], [0, 20, 40, 60, 80, 100], right=False)
    for column, classes in (("age", ages), ("product", rows["product"])):
        table = pd.crosstab(classes, rows["default"])
        shares = table / table.sum()
        woe = np.log(shares[0] / shares[1])
        assert close(found[column]["iv"], ((shares[0] - shares[1]) * woe).sum())
        told = [item["woe"] for item in found[column]["bins"] if item["zeros"]]
        assert close(sorted(told), sorted(woe))
    zeros, ones = (rows["age"][rows["default"] == value] // 20 for value in (0, 1))
    assert close(found["age"]["ks"], stats.ks_2samp(zeros, ones).statistic)


def test_periods_are_compared_with_the_base() -> None:
    asked = {"histograms": ["age"], "ranges": {"age": [0, 100]}, "bins": 5}
    asked |= {"categories": {"quarter": ["q1", "q2"]}, "compare": {"column": "quarter", "base": "q1"}}
    together = banks(**PLAIN | asked)
    (told,) = result(together)["compare"]["age"]
    rows = pooled(together)
    base, part = (rows["age"][rows["quarter"] == quarter] // 20 for quarter in ("q1", "q2"))
    p, q = (values.value_counts(normalize=True).sort_index() for values in (part, base))
    assert told["category"] == "q2"
    assert close(told["psi"], ((p - q) * np.log(p / q)).sum())
    assert close(told["ks"], stats.ks_2samp(part, base).statistic)


def test_each_bank_learns_its_own_place_and_nobody_elses() -> None:
    asked = {"histograms": ["age"], "ranges": {"age": [0, 100]}, "bins": 5, "columns": ["income"], "place": True}
    together = banks(**PLAIN | asked)
    joint, rows = result(together), pooled(together)
    for bank, outcome in zip(BANKS, together.outcomes("query.conclude", Content()), strict=True):
        told = json.loads(outcome.files["place.json"])
        own = pd.DataFrame(together.works[bank].tables["clients"])
        assert told["institution"] == bank
        assert told["count"] == {"own": len(own), "joint": len(rows)}
        assert close(told["columns"]["income"]["own_mean"], own["income"].mean())
        apart = (own["income"].mean() - rows["income"].mean()) / rows["income"].std()
        assert close(told["columns"]["income"]["standard_deviations_apart"], apart)
        p, q = ((frame["age"] // 20).value_counts(normalize=True).sort_index() for frame in (own, rows))
        assert close(told["distributions"]["age"]["psi"], ((p - q) * np.log(p / q)).sum())
        assert "place" not in joint


def test_too_few_rows_altogether_are_not_described() -> None:
    few = {bank: made(3, index) for index, bank in enumerate(BANKS)}
    with pytest.raises(StepError, match="fewer rows than the 10"):
        result(banks(10, few))


def test_an_institution_without_rows_addsContent() -> None:
    empty = {name: pd.Series(values).iloc[:0].tolist() for name, values in made(3, 0).items()}
    tables = {bank: made(60, index) for index, bank in enumerate(BANKS)} | {BANKS[1]: empty}
    assert result(banks(tables=tables))["overall"]["count"] == 120


def test_a_label_that_is_none_is_refused() -> None:
    table = made(10, 1) | {"default": [0, 1, 2] + [0] * 7}
    with pytest.raises(StepError, match="other than 0 and 1"):
        banks(tables=dict.fromkeys(BANKS, table)).add("query.tabulate")


@pytest.mark.parametrize("large", [4e9, -1e300])
def test_a_value_that_does_not_fit_names_no_value(large: float) -> None:
    table = made(10, 1) | {"income": [large] * 10}
    with pytest.raises(StepError, match="the most that fits with 2 decimals") as refused:
        banks(tables=dict.fromkeys(BANKS, table)).add("query.tabulate")
    assert str(Decimal(large)) not in str(refused.value)
