"""Estimators: settings become a train job's model, and what comes back answers as the model does."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from consortia_client.consortium import Consortium
from consortia_client.errors import ClientError, JobEndedError
from consortia_client.estimators import (
    FederatedBoostedClassifier,
    FederatedLinearRegression,
    FederatedLogisticRegression,
    FederatedNetworkClassifier,
    FederatedNetworkRegressor,
)
from consortia_client.session import JobResult
from tests.unit.test_client_results import JOB, StubSession, receipt
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


def test_a_refusal_is_told() -> None:
    with pytest.raises(JobEndedError):
        FederatedLogisticRegression().fit(connected(StubSession("refused")), **QUESTION)
