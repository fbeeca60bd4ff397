"""Noise in training: it hides what one row can change, all of it is accounted for, and useful models come out."""

from collections.abc import Mapping
from math import inf, sqrt
from random import Random
from typing import Any

import numpy as np
import pytest
from dp_accounting.gaussian_mechanism import get_sigma_gaussian
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_client.model_card import card
from consortia_common.content import Content
from consortia_common.documents.fitted import Model
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.noise import TrainingNoise
from consortia_common.errors import DocumentError
from consortia_common.models.network import Network
from consortia_common.statistics.privacy import sigma
from consortia_node.errors import StepError
from consortia_node.learning import noising
from consortia_node.learning.accounting import Multipliers, multipliers, spent
from consortia_node.learning.noising import UNIT, Noising
from consortia_node.learning.private_trees import consistent
from tests.support.specs import BANKS, spec
from tests.support.work import Banks
from tests.unit.test_train_kind import made, run

NOISE = {"epsilon": "3", "delta": "0.000001"}
PREPARE = {"income": {"low": "0", "high": "10000"}, "age": {"low": "20", "high": "80"}}
LOGISTIC = {"type": "logistic_regression", "rounds": 2}
TREES = {"type": "boosted_trees", "trees": 2, "depth": 2, "bins": 8, "learning_rate": "0.5"}
NETWORK = {"type": "neural_network", "hidden": [4], "rounds": 12, "learning_rate": "4"}
LINEAR = {"type": "linear_regression", "rounds": 1}
COUNTS = {"type": "poisson_regression", "rounds": 3}
LABELS = {"linear_regression": ("loss", ["-600", "600"]), "poisson_regression": ("calls", ["0", "20"])}


def private(model: Mapping[str, Any], tables: Any = None, *, rows: int = 1000, **parameters: Any) -> Banks:
    label, limits = LABELS.get(model["type"], ("default", None))
    asked: dict[str, Any] = {"prepare": PREPARE, "label": label, "noise": NOISE | {"label_range": limits}}
    tables = tables or {
        bank: {"clients": made(rows, place), "clients_test": made(300, place + 9)}
        for place, bank in enumerate(BANKS)
    }
    return Banks(spec("train", model=dict(model), **asked | parameters), tables)


def noise_of(multiplier: float = 5.0, parties: int = 3, colluding: int = 1, **asked: Any) -> Noising:
    promise = TrainingNoise.from_value(NOISE | asked, "the noise")
    return Noising(promise, Multipliers(multiplier, multiplier, multiplier), parties, colluding, Random(7))


pytestmark = pytest.mark.usefixtures("quick")
EXACT = noising.discrete_gaussian


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise by a sampler that takes no time."""
    monkeypatch.setattr(noising, "discrete_gaussian", lambda deviation, random: round(random.gauss(0, deviation)))


@pytest.fixture
def exact(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise as it is."""
    monkeypatch.setattr(noising, "discrete_gaussian", EXACT)


@pytest.fixture
def silent(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No noise, so that what it must hide can be seen."""
    monkeypatch.setattr(noising, "discrete_gaussian", lambda deviation, random: 0)


@pytest.mark.parametrize(("epsilon", "delta", "known"), [(1, 1e-5, 3.730632), (1, 1e-6, 4.224676)])
def test_the_noise_of_one_answer_is_the_published_one(epsilon: float, delta: float, known: float) -> None:
    """Balle and Wang, Improving the Gaussian Mechanism (2018), by the authors' own code."""
    found = multipliers(epsilon, delta, 1, 1, spread=False)
    assert 1 / sqrt(found.prepared**-2 + found.rounds**-2) == pytest.approx(known, rel=1e-5)


def test_samples_cost_no_more_than_published() -> None:
    """Abadi et al., Deep Learning with Differential Privacy (2016), section 3.2: ε = 1.26 by their accountant."""
    assert 0.9 < spent(Multipliers(inf, inf, 4), 1e-5, 0.01, 10_000) < 1.26


@pytest.mark.parametrize(
    ("epsilon", "sampling", "rounds", "spread"), [(3, 1, 12, True), (0.5, 1, 3, False), (3, 0.2, 15, False)]
)
def test_what_is_spent_is_what_was_asked(epsilon: float, sampling: float, rounds: int, *, spread: bool) -> None:
    found = multipliers(epsilon, 1e-6, sampling, rounds, spread=spread)
    assert 0.97 * epsilon < spent(found, 1e-6, sampling, rounds) < 1.0001 * epsilon


def test_a_promise_larger_than_any_use_is_still_kept() -> None:
    found = multipliers(20, 1e-5, 0.0001, 1, spread=False)
    assert spent(found, 1e-5, 0.0001, 1) <= 20


@given(st.floats(0.05, 8), st.sampled_from([1e-5, 1e-6, 1e-9]))
@settings(max_examples=20)
def test_our_own_accounting_of_one_answer_is_never_below_the_library_s(epsilon: float, delta: float) -> None:
    assert 1 <= sigma(epsilon, delta, 1.0) / get_sigma_gaussian(epsilon, delta) < 1.2


@given(
    st.sampled_from(["relu", "tanh"]),
    st.lists(st.integers(1, 5), max_size=2),
    st.integers(1, 12),
    st.floats(0.01, 10),
    st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_rows_are_shortened_as_if_each_gradient_had_been_made(
    activation: str, hidden: list[int], rows: int, clip: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    network = Network((3, *hidden, 1), activation)
    weights, features = generator.normal(size=network.length), generator.normal(size=(rows, 3))
    error = generator.normal(size=rows) * 3
    expected = np.zeros(network.length)
    for row in range(rows):
        alone = network.gradient(weights, features[row : row + 1], error[row : row + 1])
        expected += alone * min(1.0, clip / max(float(np.linalg.norm(alone)), 1e-30))
    assert network.gradient(weights, features, error, clip) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def reach_of(model: Mapping[str, Any], step: str) -> float:
    """What a row may change in a step, in units of the grid."""
    wide = {"query.prepare": sqrt(1 + 3 * 3), "query.spread": sqrt(2)}
    rounds = {"boosted_trees": sqrt(3 * 2), "neural_network": 1.0}
    return wide.get(step, rounds.get(model["type"], sqrt(2)))


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("income", [3000.0, 1e12])
@pytest.mark.parametrize(
    "model", [LOGISTIC | {"class_weight": "balanced"}, LINEAR, COUNTS, TREES, NETWORK | {"rounds": 2}]
)
def test_a_row_changes_a_sum_by_no_more_than_the_noise_hides(model: Mapping[str, Any], income: float) -> None:
    """However absurd the row: what a bank adds with it and without it, from the same state."""
    before = private(model, rows=60)
    rows = {name: np.asarray(column) for name, column in made(60, 0).items()}
    odd = {"income": income, "age": -1e9, "branch": "north", "default": 1.0, "loss": 1e9, "calls": 1e6}
    more = {name: np.append(column, odd[name]) for name, column in rows.items()}
    for turn in before.spec.parameters.turns(BANKS[0]):
        if not turn.gives or turn.step == "evaluate":
            break
        total = before.add(turn.step, turn.round)
        work = before.works[BANKS[0]]
        kept, tables, remembered = dict(work.values), work.tables, dict(work.memory)
        shares = []
        for table in (rows, more):
            work.values, work.memory, work.tables = dict(kept), {}, {**tables, "clients": table}
            outcome = before.outcomes(turn.step, Content(), turn.round)[0]
            shares.append(np.asarray(outcome.summand))
        work.values, work.memory, work.tables = kept, remembered, tables
        before.give(turn.gives, total, turn.round)
        apart = float(np.linalg.norm((shares[1] - shares[0]).astype(np.float64)))
        assert apart <= reach_of(model, turn.step) * UNIT + 2 * sqrt(total.size), turn


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(("parties", "colluding", "staying"), [(3, 1, 3), (5, 1, 4), (10, 3, 7)])
def test_those_who_must_stay_and_are_honest_reach_the_promised_noise(
    parties: int, colluding: int, staying: int
) -> None:
    """The others may have dropped out, or tell the coordinator what noise was theirs."""
    each = noise_of(2.0, parties, colluding)
    honest = [each.add(np.zeros(900), 1.0, 2.0) for _ in range(staying - colluding)]
    found = float(np.std(np.sum(honest, axis=0)))
    assert found == pytest.approx(2.0 * UNIT, rel=0.1)
    assert each.whole >= 1


def test_noise_grows_with_what_a_customer_can_change() -> None:
    assert noise_of(rows_per_customer=3).deviation(2.0, 5.0, 4) == 3 * noise_of().deviation(2.0, 5.0, 4)
    assert noise_of().deviation(2.0, 5.0, 4) >= 10 * UNIT


def test_a_sum_that_is_not_finite_is_not_sealed() -> None:
    with pytest.raises(StepError, match="not finite"):
        noise_of().add(np.array([1.0, np.nan]), 1.0, 1.0)


def test_samples_are_of_the_asked_size_and_anew_each_time() -> None:
    noise = noise_of(sampling="0.25")
    first, second = noise.sample(8000), noise.sample(8000)
    assert first.mean() == pytest.approx(0.25, abs=0.03)
    assert (first & second).mean() == pytest.approx(0.0625, abs=0.02)
    assert noise_of().sample(10).all()


@pytest.mark.parametrize(
    ("model", "least"), [(LOGISTIC, 0.75), (TREES | {"trees": 4}, 0.65), (NETWORK | {"hidden": []}, 0.75)]
)
def test_a_model_comes_out_that_is_of_use(model: Mapping[str, Any], least: float) -> None:
    result = run(private(model, rows=2500, max_rows=5000))
    assert result["evaluation"]["auc"] > least
    assert result["rows"] == pytest.approx(7500, rel=0.1)


def test_how_many_rows_there_are_has_noise() -> None:
    assert len({int(private(LOGISTIC).add("query.prepare")[0]) for _ in range(8)}) > 1


@pytest.mark.parametrize("model", [LINEAR, COUNTS])
def test_numbers_and_counts_can_be_learned_with_noise(model: Mapping[str, Any]) -> None:
    result = run(private(model, rows=2500, max_rows=5000))
    assert result["evaluation"]["r2"] > 0.1
    assert result["model"]["fit"]["coefficients"] == []


def test_samples_train_a_network() -> None:
    noise = NOISE | {"sampling": "0.2"}
    result = run(private(NETWORK | {"rounds": 15}, rows=800, noise=noise, max_rows=5000))
    assert result["evaluation"]["auc"] > 0.6
    assert float(result["noise"]["multiplier"]) < multipliers(3, 1e-6, 1, 15, spread=False).rounds / 2


def test_categories_are_prepared_with_noise() -> None:
    for encoding in ("one_hot", "weight_of_evidence"):
        together = private(
            LOGISTIC,
            rows=600,
            features=["income", "branch"],
            categories={"branch": ["north", "south"]},
            prepare={"income": PREPARE["income"]},
            encoding=encoding,
        )
        assert run(together)["evaluation"]["auc"] > 0.6


def test_the_result_the_model_and_its_card_state_the_promise() -> None:
    result = run(private(LOGISTIC))
    said = result["noise"]
    assert (said["epsilon"], said["delta"], said["rows_per_customer"]) == ("3", "0.000001", "1")
    assert "measures on the test part" in said["does_not_cover"]
    assert result["model"]["privacy"] == said
    page = card(Model.from_value(result["model"], "the result"))
    assert dict(page.facts)["learned from"] == f"about {result['rows']:,} rows of clients"
    (section,) = [each for each in page.sections if each.heading == "Privacy"]
    assert ("ε", "3") in section.facts
    without = run(private(LOGISTIC, test_dataset=None, noise={"epsilon": "3"}))
    assert "test part" not in without["noise"]["does_not_cover"]
    assert without["noise"]["delta"] == "0.000000001"


@pytest.mark.parametrize("model", [LOGISTIC, TREES, NETWORK])
def test_a_noisy_sum_that_no_bounded_rows_have_is_refused(model: Mapping[str, Any]) -> None:
    together = private(model)
    for turn in together.spec.parameters.turns(BANKS[0]):
        total = together.add(turn.step, turn.round)
        if turn.step == "train":
            break
    together.give(turn.gives, total + 10**5 * UNIT, 1)
    with pytest.raises(StepError, match="total was refused"):
        together.outcomes("train", Content(), 2)


@pytest.mark.usefixtures("exact")
def test_two_runs_differ_and_all_parties_agree() -> None:
    first, second = (run(private(LOGISTIC)) for _ in range(2))
    assert first["model"]["fit"] != second["model"]["fit"]


def test_a_customer_with_more_rows_than_promised_is_refused() -> None:
    together = private(LOGISTIC, rows=3)
    for work in together.works.values():
        work.kept = ["anna", "anna", "bert"]
    with pytest.raises(StepError, match="more rows here than the spec") as refused:
        together.add("query.prepare")
    assert "anna" not in str(refused.value)


@pytest.mark.usefixtures("silent")
def test_nothing_to_learn_is_said_with_noise_too() -> None:
    empty = {name: column[:0] for name, column in made(1, 1).items()}
    ones = made(20, 1) | {"default": np.ones(20)}
    for table, why in ((empty, "no row of any party"), (ones, "have one label")):
        with pytest.raises(StepError, match=why):
            run(private(LOGISTIC, {bank: {"clients": table} for bank in BANKS}, test_dataset=None))


def test_a_bank_without_rows_adds_its_noise() -> None:
    empty = {name: column[:0] for name, column in made(1, 1).items()}
    tables = {bank: {"clients": made(900, i)} for i, bank in enumerate(BANKS)} | {BANKS[0]: {"clients": empty}}
    for model in (LOGISTIC, TREES, NETWORK | {"rounds": 2}):
        assert run(private(model, tables, test_dataset=None))["rows"] == pytest.approx(1800, rel=0.2)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 5))
@settings(max_examples=30)
def test_consistent_histograms_agree_on_the_whole_of_a_node(seed: int, nodes: int, features: int) -> None:
    generator = np.random.default_rng(seed)
    noisy = np.rint(generator.normal(100, 3000, (nodes, features, 7, 3)))
    allowed = np.arange(features) != 0
    found = consistent(noisy, allowed)
    wholes = found.sum(axis=2)
    assert (wholes == wholes[:, :1]).all()
    assert (wholes[..., 1:] >= 1).all()
    assert (found[:, 0, 1:] == 0).all()


def test_consistency_leaves_exact_histograms_alone() -> None:
    exact = np.tile(np.arange(1, 8)[None, None, :, None], (2, 3, 1, 3)).astype(np.float64)
    assert (consistent(exact, np.ones(3, bool)) == exact).all()


@pytest.mark.parametrize(
    ("model", "parameters", "mistake"),
    [
        (LOGISTIC, {"prepare": {"income": PREPARE["income"]}}, "noise needs low and high of age"),
        (LOGISTIC, {"weight": "calls"}, "all rows count alike"),
        (
            LOGISTIC,
            {"noise": NOISE | {"label_range": ["0", "1"]}},
            "label_range: needed where the label is no class",
        ),
        (LINEAR, {"noise": NOISE}, "label_range: needed where the label is no class"),
        (LINEAR, {"noise": NOISE | {"label_range": ["1", "1"]}}, "the lowest is not below the highest"),
        (LOGISTIC, {"noise": NOISE | {"sampling": "0.5"}}, "only neural networks sample"),
        (TREES | {"objective": "squared"}, {"label": "loss"}, "with noise only logistic"),
        (NETWORK | {"epochs": 2}, {}, "epochs: with noise there are no local steps"),
        (NETWORK | {"momentum": "0.9"}, {}, "momentum: with noise there are no local steps"),
        (NETWORK | {"strategy": {"name": "FedProx", "settings": {"proximal_mu": "1"}}}, {}, "FedProx to hold"),
        (NETWORK, {"noise": NOISE | {"sampling": "0.5", "rows_per_customer": 2}}, "sampling needs one each"),
        (LOGISTIC, {"noise": NOISE | {"epsilon": "101"}}, "epsilon"),
        (LOGISTIC, {"noise": NOISE | {"clip": "0"}}, "clip"),
    ],
)
def test_what_could_not_be_promised_is_refused(model: Mapping[str, Any], parameters: Any, mistake: str) -> None:
    with pytest.raises(DocumentError, match=mistake):
        private(model, rows=1, **parameters)


def test_a_noisy_spec_reads_back_as_it_was_written() -> None:
    for model in (LOGISTIC, LINEAR, TREES, NETWORK):
        asked = private(model, rows=1).spec
        assert JobSpec.from_canonical(asked.canonical(), "the spec") == asked


def test_a_model_costs_what_it_says_and_an_exact_one_nothing() -> None:
    parameters = private(LOGISTIC, rows=1).spec.parameters
    assert parameters.epsilon_micro() == 3_000_000
    assert "with noise" in parameters.learns()["each party"]
    assert parameters.reads(BANKS[0])[0].subjects
    assert not parameters.reads(BANKS[0])[1].subjects
    assert spec("train").parameters.epsilon_micro() == 0
