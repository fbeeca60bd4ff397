"""Noise: as much as was promised, from whoever stays; the promise in (ε, δ); sampled exactly; clipped; bounded."""

from math import exp, sqrt
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from consortia_common.statistics.layout import Field
from consortia_common.statistics.privacy import delta_of, rho_of, share_of_noise, sigma
from consortia_node.errors import StepError
from consortia_node.kinds import statistics as kind
from consortia_node.stats import gather
from consortia_node.stats.noise import discrete_gaussian, spread
from tests.support.specs import BANKS, spec
from tests.support.work import Banks

NOISY: dict[str, Any] = {
    "columns": ["age"],
    "correlations": ["age"],
    "histograms": ["age"],
    "label": None,
    "by": [],
    "categories": {},
    "ranges": {"age": [20, 100]},
    "decimals": 0,
    "noise": {"epsilon": "0.5", "delta": "0.000001"},
}


def exact_delta(epsilon: float, spread: float) -> float:
    """Of Gaussian noise on an answer of sensitivity 1 (Balle and Wang, 2018)."""
    low, high = 1 / (2 * spread) - epsilon * spread, -1 / (2 * spread) - epsilon * spread
    return float(stats.norm.cdf(low) - exp(epsilon) * stats.norm.cdf(high))


@settings(max_examples=30)
@given(st.floats(0.01, 8), st.sampled_from([1e-5, 1e-6, 1e-9, 1e-12]))
def test_the_noise_keeps_the_promise_and_wastes_little(epsilon: float, delta: float) -> None:
    found = sigma(epsilon, delta, 1.0)
    assert exact_delta(epsilon, found) <= delta
    best = optimize.brentq(lambda spread: exact_delta(epsilon, spread) - delta, 0.05, 1e4)
    assert found <= 1.2 * best


@settings(max_examples=30)
@given(st.floats(0.01, 8), st.floats(1e-12, 1e-5))
def test_what_is_spent_is_what_was_asked(epsilon: float, delta: float) -> None:
    rho = rho_of(epsilon, delta)
    assert delta_of(rho, epsilon) <= delta < delta_of(1.01 * rho, epsilon)


def test_those_who_must_stay_and_are_honest_reach_it_alone() -> None:
    for parties, colluding in ((3, 0), (3, 1), (5, 1), (10, 3), (50, 16)):
        share = share_of_noise(100.0, parties, colluding)
        honest = (parties + colluding) // 2 + 1 - colluding
        assert sqrt(honest) * share == pytest.approx(100.0)


@pytest.mark.parametrize("spread", [4, 30, 10**12])
def test_samples_are_discrete_gaussian(spread: int) -> None:
    random = Random(spread)
    samples = np.array([discrete_gaussian(spread, random) / spread for _ in range(3000)])
    assert abs(samples.mean()) < 0.08
    assert samples.std() == pytest.approx(1, abs=0.05)
    assert spread < 100 or stats.kstest(samples, "norm").pvalue > 1e-4


def rows_of(ages: list[int]) -> dict[str, Any]:
    return {"age": ages}


@settings(max_examples=8, deadline=None)
@given(
    ages=st.lists(st.integers(0, 140), min_size=0, max_size=8),
    more=st.lists(st.integers(0, 140), min_size=1, max_size=3),
    decimals=st.integers(0, 2),
)
def test_a_customer_changes_the_table_by_no_more_than_the_noise_hides(
    ages: list[int], more: list[int], decimals: int
) -> None:
    """Each number in units of its own spread: the distance is what ``sigma`` was computed for."""
    job = spec("statistics", **NOISY | {"noise": NOISY["noise"] | {"rows_per_customer": 3}, "decimals": decimals})
    parameters: Any = job.parameters
    layout = parameters.layout()
    works = Banks(job, {bank: {"clients": rows_of(ages)} for bank in BANKS}).works
    grown = Banks(job, {bank: {"clients": rows_of(ages + more)} for bank in BANKS}).works
    tables = [
        gather.table(of[BANKS[0]].frame("clients", ["age"]), parameters, kind.count_by) for of in (works, grown)
    ]
    scales = [spread(field, parameters, 1.0) for field in layout.numbers]
    apart = [(one - other) / scale for one, other, scale in zip(*tables, scales, strict=True)]
    assert sqrt(sum(number**2 for number in apart)) <= 3 * sqrt(layout.touched()) * (1 + 1e-12)


def test_a_noisy_answer_is_near_the_exact_one_and_says_how_near() -> None:
    generator = np.random.default_rng(7)
    tables = {bank: {"clients": rows_of(generator.integers(20, 80, 3000).tolist())} for bank in BANKS}
    together = Banks(spec("statistics", **NOISY), tables, 10)
    together.add("query.tabulate")
    (found, *_) = together.results()
    assert found["noise"] == {
        "epsilon": 0.5,
        "delta": 1e-6,
        "sigma": pytest.approx(24.5, rel=0.05),
        "rows_per_customer": 1,
    }
    overall: Any = found["overall"]
    count = overall["count"]
    assert 0 < abs(count - 9000) < 6 * 1.3 * found["noise"]["sigma"]  # type: ignore[index]
    assert overall["columns"]["age"]["mean"] == pytest.approx(49.5, abs=4)


def test_every_institution_draws_its_own_noise_anew() -> None:
    together = Banks(spec("statistics", **NOISY), {bank: {"clients": rows_of([30] * 40)} for bank in BANKS})
    first, second = (together.add("query.tabulate").tolist() for _ in range(2))
    assert first != second


def test_noise_is_a_matter_of_the_degree_and_the_range() -> None:
    parameters: Any = spec("statistics", **NOISY).parameters
    scales = [
        spread(Field(measure, columns), parameters, 10.0)
        for measure, columns in (("rows", ()), ("sum", ("age",)), ("squares", ("age",)), ("product", ("age",) * 2))
    ]
    assert scales == [10, 1000, 100_000, 100_000]


def test_a_customer_with_more_rows_than_promised_is_refused() -> None:
    together = Banks(spec("statistics", **NOISY), {bank: {"clients": rows_of([30, 40, 50])} for bank in BANKS})
    for work in together.works.values():
        work.kept = ["anna", "anna", "bert"]
    with pytest.raises(StepError, match="more rows here than the spec") as refused:
        together.add("query.tabulate")
    assert "anna" not in str(refused.value)


def test_exact_answers_cost_nothing_and_noisy_ones_what_they_say() -> None:
    assert spec("statistics").parameters.epsilon_micro() == 0
    assert spec("statistics", **NOISY).parameters.epsilon_micro() == 500_000
    small = NOISY | {"noise": {"epsilon": "0.0000001"}}
    assert spec("statistics", **small).parameters.epsilon_micro() == 1
