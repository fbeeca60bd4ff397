"""Federated models with scikit-learn's manners: settings in the constructor, ``fit``, ``predict``, names with _.

    model = FederatedLogisticRegression(l2=0).fit(
        consortium, dataset="clients", features=["income", "age"], label="default", purpose="credit-risk-model")
    model.coef_, model.predict_proba(rows)

``fit`` hands in a train job and waits for it; rows are only ever given to ``predict``, which runs on this machine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from consortia_client import page_parts
from consortia_client.consortium import Consortium
from consortia_client.errors import ClientError, NotFittedError
from consortia_client.model_card import card
from consortia_client.model_files import written
from consortia_client.optional import load
from consortia_client.results import Result
from consortia_common.documents.fitted import LinearFit, Model


@dataclass
class _Estimator:
    """What all have in common."""

    TYPE: ClassVar[str]
    _fitted: Result | None = field(default=None, init=False, repr=False, compare=False)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings, by name."""
        del deep
        return {each.name: getattr(self, each.name) for each in fields(self) if each.init}

    def set_params(self, **settings: Any) -> Self:
        """Change settings. Raises ClientError for one that there is not."""
        known = self.get_params()
        strange = sorted(set(settings) - set(known))
        if strange:
            raise ClientError(
                f"{type(self).__name__} has no setting {', '.join(strange)}",
                blame="the call",
                remedy=f"there are {', '.join(known)}",
            )
        for name, value in settings.items():
            setattr(self, name, value)
        return self

    def fit(
        self,
        consortium: Consortium,
        *,
        dataset: str,
        features: Sequence[str],
        label: str,
        progress: bool = True,
        **question: Any,
    ) -> Self:
        """Have the model fitted over all parties' consented rows; ``question`` as for ``Consortium.spec``.

        Raises ClientError for what are no features, JobEndedError if a party refuses it or the job fails.
        """
        if isinstance(features, str):
            raise ClientError("features is one text", blame="the call", remedy=f"give a list: [{features[:40]!r}]")
        unset = {each.name for each in fields(self) if each.default is None}
        settings = self.get_params().items()
        model = {"type": self.TYPE} | {
            name: value for name, value in settings if value is not None or name not in unset
        }
        asked = {"dataset": dataset, "features": list(features), "label": label, "model": model} | question
        self._fitted = consortium.train(progress=progress, **asked)
        return self

    def predict(self, rows: Any) -> Any:
        """The answer for each of ``rows`` (a pandas DataFrame, an Arrow table, or columns by name): an array."""
        numpy, pyarrow = (load(name, "predicting", "consortia[node]") for name in ("numpy", "pyarrow"))
        from consortia_client.predicting import columns_of  # noqa: PLC0415  # needs numpy and pyarrow
        from consortia_common.models.predict import predict  # noqa: PLC0415

        if hasattr(rows, "columns") and hasattr(rows, "iloc"):
            rows = pyarrow.Table.from_pandas(rows, preserve_index=False)
        table = rows if isinstance(rows, pyarrow.Table) else pyarrow.table(dict(rows))
        return numpy.asarray(predict(self.model_, columns_of(self.model_, table, "what was given")))

    def save(self, path: str | Path) -> None:
        """Write the model to a file, by its ending: .json the document, .onnx ONNX, .html or .md its card.

        Raises ClientError for any other ending and before ``fit``, MissingExtraError where onnx is not installed.
        """
        target = Path(path)
        target.write_bytes(written(self.model_, target.suffix))

    def _repr_html_(self) -> str:
        if self._fitted is None:
            return page_parts.facts({"model": type(self).__name__, "state": "not fitted yet", **self.get_params()})
        page = card(self.model_)
        return page_parts.facts(dict([("model", page.introduction[0]), *page.facts]))

    @property
    def result_(self) -> Result:
        """The job's result. Raises NotFittedError before ``fit``."""
        if self._fitted is None:
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet", blame="the call", remedy="call fit first"
            )
        return self._fitted

    @property
    def model_(self) -> Model:
        """The fitted model as a document."""
        return Model.from_value(self.result_.document["model"], f"the model of {self.result_.job_id}")

    @property
    def feature_names_in_(self) -> tuple[str, ...]:
        """The columns that the model looks at."""
        return self.model_.columns

    @property
    def n_features_in_(self) -> int:
        """How many they are."""
        return len(self.feature_names_in_)

    def score(self, rows: Any, label: Any) -> float:
        """How good the answers for ``rows`` on this machine are, R²; ``evaluation_`` has everybody's."""
        numpy = load("numpy", "predicting", "consortia[node]")
        truth = numpy.asarray(label, float)
        spread = float(((truth - truth.mean()) ** 2).sum())
        missed = float(((truth - numpy.asarray(self.predict(rows))) ** 2).sum())
        return 1 - missed / spread if spread else 0.0

    def __sklearn_is_fitted__(self) -> bool:
        """For sklearn.utils.validation.check_is_fitted."""
        return self._fitted is not None

    @property
    def evaluation_(self) -> Mapping[str, Any]:
        """How the model did on everybody's test parts; empty without a ``test_dataset``."""
        return dict(self.result_.document.get("evaluation", {}))


@dataclass
class _Linear(_Estimator):
    l2: float = 0.0001
    """Penalty on the weights of standardised inputs; 0 gives standard errors too."""
    rounds: int = 10

    @property
    def coef_(self) -> list[float]:
        """The weights of the prepared inputs."""
        return [float(weight) for weight in self._fit.weights]

    @property
    def intercept_(self) -> float:
        """The intercept."""
        return float(self._fit.intercept)

    @property
    def coefficients_(self) -> list[dict[str, Any]]:
        """By name: value, error, statistic, p-value and 95 % interval, per unit of the column, where l2 is 0."""
        return [one.model_dump() for one in self._fit.coefficients]

    @property
    def _fit(self) -> LinearFit:
        fit = self.model_.fit
        if not isinstance(fit, LinearFit):
            raise ClientError("the job made no linear model", blame="the parties", remedy="fit again")
        return fit


@dataclass
class _Chances(_Estimator):
    """Answers of a model of zeros and ones."""

    classes_: ClassVar[tuple[int, int]] = (0, 1)

    def predict_proba(self, rows: Any) -> Any:
        """The chance of 0 and of 1 of each row; (rows, 2)."""
        ones = super().predict(rows)
        return load("numpy", "predicting", "consortia[node]").column_stack([1 - ones, ones])

    def predict(self, rows: Any) -> Any:
        """0 or 1 for each row, whichever is likelier."""
        return (super().predict(rows) >= 0.5).astype(int)

    def score(self, rows: Any, label: Any) -> float:
        """The share of ``rows`` whose label is predicted."""
        numpy = load("numpy", "predicting", "consortia[node]")
        return float(numpy.mean(self.predict(rows) == numpy.asarray(label)))


@dataclass
class FederatedLogisticRegression(_Linear, _Chances):
    """The pooled logistic regression, see docs/kinds/train.md."""

    TYPE: ClassVar[str] = "logistic_regression"
    class_weight: str = "none"


@dataclass
class FederatedLinearRegression(_Linear):
    """The pooled linear regression."""

    TYPE: ClassVar[str] = "linear_regression"


@dataclass
class FederatedPoissonRegression(_Linear):
    """The pooled Poisson regression."""

    TYPE: ClassVar[str] = "poisson_regression"


@dataclass
class _Boosting(_Estimator):
    TYPE: ClassVar[str] = "boosted_trees"
    trees: int = 64
    depth: int = 6
    leaves: int = 64
    growth: str = "level"
    bins: int = 64
    learning_rate: float = 0.1
    l2: float = 1
    min_gain: float = 0
    min_rows: int = 20
    min_hessian: float = 0.001
    subsample: float = 1
    feature_share: float = 1
    monotone: dict[str, str] | None = None
    early_stopping: dict[str, Any] | None = None
    seed: int = 0


@dataclass
class FederatedBoostedClassifier(_Boosting, _Chances):
    """The pooled boosted trees for a label of zeros and ones."""

    objective: str = "logistic"


@dataclass
class FederatedBoostedRegressor(_Boosting):
    """The pooled boosted trees for a number, or a count (objective="poisson")."""

    objective: str = "squared"


@dataclass
class _Network(_Estimator):
    TYPE: ClassVar[str] = "neural_network"
    hidden: tuple[int, ...] = (16,)
    activation: str = "relu"
    engine: str = "numpy"
    dropout: float = 0
    rounds: int = 20
    epochs: int = 1
    batch: int | None = 64
    learning_rate: float = 0.1
    schedule: str = "constant"
    momentum: float = 0
    l2: float = 0.0001
    max_norm: float | None = None
    clip: float = 4
    word_bits: int = 32
    strategy: dict[str, Any] | None = None
    early_stopping: dict[str, Any] | None = None
    seed: int = 0


@dataclass
class FederatedNetworkClassifier(_Network, _Chances):
    """A multilayer perceptron for a label of zeros and ones, averaged by a Flower strategy."""

    objective: str = "logistic"


@dataclass
class FederatedNetworkRegressor(_Network):
    """A multilayer perceptron for a number, or a count (objective="poisson")."""

    objective: str = "squared"
