"""The engine torch: the numbers of numpy's, dropout by a seed, and a refusal where it is not installed."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consortia_common.documents.jobspec import JobSpec
from consortia_common.errors import DocumentError
from consortia_common.models.network import Network
from tests.support.consortium import Consortium, build, prepare, running
from tests.support.specs import spec
from tests.unit.test_train_kind import NETWORK, banks, run

TORCH = NETWORK | {"engine": "torch", "hidden": [4], "rounds": 2}
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed here")


def made(network: Network, dropout: float = 0.0, seed: int = 1) -> Any:
    from consortia_node.learning.torch_network import TorchNetwork  # noqa: PLC0415

    return TorchNetwork(network, dropout, seed)


def some(network: Network) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chance = np.random.default_rng(7)
    return network.start(3), chance.normal(size=(20, 3)), chance.normal(size=20)


@needs_torch
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_margins_and_gradients_are_numpys(activation: str) -> None:
    network = Network((3, 5, 4, 1), activation)
    torch = made(network)
    weights, features, error = some(network)
    np.testing.assert_allclose(torch.margin(weights, features), network.margin(weights, features), atol=1e-12)
    gradient = torch.gradient(weights, features, error)
    np.testing.assert_allclose(gradient, network.gradient(weights, features, error), atol=1e-12)


@needs_torch
def test_dropout_is_chance_by_the_seed_and_right_on_average() -> None:
    network = Network((3, 5, 1), "tanh")
    weights, features, error = some(network)
    once, again, other = (made(network, 0.5, seed).margin(weights, features) for seed in (1, 1, 2))
    assert once.tolist() == again.tolist() != other.tolist()
    dropping = made(network, 0.5)
    mean = np.mean([dropping.margin(weights, features) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(mean, network.margin(weights, features), atol=0.15)
    assert np.isfinite(dropping.gradient(weights, features, error)).all()


@needs_torch
@pytest.mark.parametrize("changes", [{}, {"strategy": {"name": "FedAdam"}}, {"momentum": "0.9", "max_norm": "0.5"}])
def test_a_training_is_numpys(changes: dict[str, Any]) -> None:
    torch, numpy = (
        run(banks(TORCH | changes | {"engine": engine}))["model"]["fit"] for engine in ("torch", "numpy")
    )
    first, second = ([float(weight) for weight in fit["weights"]] for fit in (torch, numpy))
    assert first == pytest.approx(second, abs=1e-9)
    assert torch.keys() == numpy.keys()


@needs_torch
def test_dropout_trains_another_model_that_is_the_same_each_time() -> None:
    dropped = [run(banks(TORCH | {"dropout": "0.3"}))["model"]["fit"] for _ in range(2)]
    assert dropped[0] == dropped[1]
    assert dropped[0] != run(banks(TORCH))["model"]["fit"]


def test_numpy_has_no_dropout() -> None:
    with pytest.raises(DocumentError, match=r"model\.dropout: only the engine torch has it"):
        spec("train", model=NETWORK | {"dropout": "0.5"})


def test_what_is_not_installed_is_refused_at_plan_time(consortium: Consortium, monkeypatch: Any) -> None:
    asked: JobSpec = spec("train", model=TORCH)
    monkeypatch.setattr("consortia_node.gatekeeper.find_spec", lambda name: None)
    with consortium.analyst() as session:
        plan = session.plan(asked, 0)
    assert {party.answer.clause for party in plan.parties if party.answer} == {"node.libraries"}
    assert "does not have torch" in str(plan.parties[0])


@needs_torch
@pytest.mark.slow
def test_a_job_is_trained_by_it(tmp_path: Path) -> None:
    built = build(tmp_path)
    for bank in built.banks:
        settings = built.node_config(bank)
        settings.write_text(settings.read_text() + "\nworker_memory_mib = 32768\n")
    with running(built):
        prepare(built)
        trained = built.finish(built.submit(spec("train", model=TORCH | {"dropout": "0.1"})), 300)
        assert trained.state == "finished", [one.failure.what for one in trained.refusals]
        assert built.result(trained.job_id)["model"]["fit"]["type"] == "network"
