"""Estimators: settings become a train job's model, and what comes back answers as the model does."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone

from consortia_client.believed import JobResult
from consortia_client.consortium import Consortium
from consortia_client.errors import ClientError, JobEndedError
from consortia_client.estimators import (
    FederatedBoostedClassifier,
    FederatedLinearRegression,
    FederatedLogisticRegression,
    FederatedNetworkClassifier,
    FederatedNetworkRegressor,
)
from tests.support.results import JOB, StubSession, receipt
from tests.unit.test_train_kind import BANKS, banks, run

QUESTION: dict[str, Any] = {
    "dataset": "clients",
    "features": ["income", "age"],
    "label": "default",
    "progress": False,
}


class Trained(StubSession):
    """Stands for a network whose parties train what is asked, on made-up rows."""

    def result(self, job_id: str) -> JobResult:
        parameters = self.asked[0].parameters.model_dump(mode="json", by_alias=True)
        label = parameters["label"]
        result = run(banks(parameters["model"], label=label, test_dataset="clients_test"))
        return JobResult(JOB, self.asked[0], dict(result), tuple(receipt(bank) for bank in BANKS))


def connected(session: StubSession) -> Consortium:
    return Consortium(session, lambda: 7)  # type: ignore[arg-type]


def test_a_regression_is_fitted_and_answers() -> None:
    model = FederatedLogisticRegression(l2=0).fit(connected(Trained()), **QUESTION)
    rows = pd.DataFrame({"income": [500.0, 9000.0], "age": [30, 70]})
    chances = model.predict_proba(rows)
    assert chances.shape == (2, 2)
    assert chances.sum(axis=1) == pytest.approx([1, 1])
    assert model.predict(rows).tolist() == [1, 0]
    assert model.predict(pa.Table.from_pandas(rows)).tolist() == [1, 0]
    assert model.predict({"income": [500.0], "age": [30]}).tolist() == [1]
    assert len(model.coef_) == 2
    assert model.coefficients_[-1]["name"] == "intercept"
    assert model.feature_names_in_ == ("income", "age")
    assert model.evaluation_["auc"] > 0.7
    assert np.isfinite(model.intercept_)


def test_settings_become_the_jobs() -> None:
    session = Trained()
    FederatedBoostedClassifier(trees=2, depth=2, min_rows=5).fit(connected(session), **QUESTION)
    asked = session.asked[0].parameters.model_dump(mode="json")["model"]
    assert (asked["type"], asked["trees"], asked["depth"], asked["objective"]) == (
        "boosted_trees",
        2,
        2,
        "logistic",
    )


@pytest.mark.parametrize("estimator", [FederatedLogisticRegression, FederatedNetworkClassifier])
def test_noise_is_asked_for_beside_the_settings(estimator: Any) -> None:
    session = Trained()
    ranges = {"income": {"low": 0, "high": 10000}, "age": {"low": 18, "high": 100}}
    estimator(rounds=2).fit(connected(session), **QUESTION, prepare=ranges, noise={"epsilon": 0.5})
    assert session.asked[0].parameters.epsilon_micro() == 500_000


def test_a_number_is_answered_with_a_number() -> None:
    session = Trained()
    model = FederatedLinearRegression(l2=0).fit(connected(session), **QUESTION | {"label": "loss"})
    assert model.predict({"income": [3000.0], "age": [45]})[0] == pytest.approx(0, abs=30)


def test_settings_have_scikit_learns_manners() -> None:
    model = FederatedNetworkRegressor(hidden=(4,))
    assert model.get_params()["hidden"] == (4,)
    assert model.set_params(rounds=3).rounds == 3
    assert "_fitted" not in model.get_params()
    with pytest.raises(ClientError, match="no setting colour"):
        model.set_params(colour="red")
    with pytest.raises(ClientError, match="not fitted yet"):
        model.predict({})


def test_scikit_learns_own_tools_take_it() -> None:
    model = FederatedBoostedClassifier(trees=2, monotone={"age": "rising"})
    copied = clone(model)
    assert copied == model
    assert copied is not model
    assert not hasattr(model, "model_")
    assert not model.__sklearn_is_fitted__()
    fitted = model.set_params(trees=1, depth=1, monotone=None).fit(connected(Trained()), **QUESTION)
    assert fitted is model
    assert fitted.__sklearn_is_fitted__()
    assert (fitted.n_features_in_, fitted.classes_) == (2, (0, 1))
    rows = {"income": [500.0, 9000.0], "age": [30, 70]}
    assert fitted.score(rows, fitted.predict(rows)) == 1
    assert fitted.score(rows, 1 - fitted.predict(rows)) == 0
    assert clone(fitted)._fitted is None


def test_what_is_none_on_purpose_is_asked_for() -> None:
    session = Trained()
    FederatedNetworkRegressor(hidden=(), batch=None, rounds=1).fit(
        connected(session), **QUESTION | {"label": "loss"}
    )
    asked = session.asked[0].parameters.model_dump(mode="json")["model"]
    assert (asked["batch"], asked["max_norm"]) == (None, None)


def test_a_number_is_scored_by_how_much_it_explains() -> None:
    model = FederatedLinearRegression(l2=0).fit(connected(Trained()), **QUESTION | {"label": "loss"})
    rows = {"income": [1000.0, 3000.0, 5000.0], "age": [30, 45, 60]}
    assert model.score(rows, model.predict(rows)) == pytest.approx(1)
    assert model.score(rows, [0.0, 0.0, 0.0]) == 0


def test_one_text_is_no_list_of_features() -> None:
    with pytest.raises(ClientError, match="features is one text"):
        FederatedLogisticRegression().fit(connected(Trained()), **QUESTION | {"features": "income"})


def test_a_model_is_saved_by_the_files_ending(tmp_path: Path) -> None:
    model = FederatedLogisticRegression(l2=0)
    assert "not fitted yet" in model._repr_html_()
    model.fit(connected(Trained()), **QUESTION)
    assert model.model_.hash() in model._repr_html_()
    for ending in ("json", "onnx", "html", "md"):
        model.save(tmp_path / f"model.{ending}")
        assert (tmp_path / f"model.{ending}").stat().st_size
    assert (tmp_path / "model.json").read_bytes() == model.model_.canonical()
    with pytest.raises(ClientError, match=r"can't be written as \.pickle"):
        model.save(tmp_path / "model.pickle")


def test_a_refusal_is_told() -> None:
    with pytest.raises(JobEndedError):
        FederatedLogisticRegression().fit(connected(StubSession("refused")), **QUESTION)
