"""What the jobs should find, computed outside the network by somebody who may see everything.

Only the demo does this, to judge the jobs' answers; in life nobody holds these tables together. ``Market`` has
every bank's rows with consent, standardised by the pooled moments just as the federated job does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from examples.credit_risk import consents
from examples.credit_risk.split import BANKS, FEATURES, LABEL, SUBJECT

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Rows with consent: features (n, d), labels (n,)."""

    features: Floats
    labels: Floats

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """The rows of ``table`` whose client's consent stands."""
        kept = with_consent(table)
        features = np.column_stack([kept[name].to_numpy().astype(np.float64) for name in FEATURES])
        return cls(features, kept[LABEL].to_numpy().astype(np.float64))


@dataclass(frozen=True)
class Linear:
    """A linear score on raw features: ((x − mean) / scale) · weights + bias."""

    mean: Floats
    scale: Floats
    weights: Floats
    bias: float

    def scores(self, features: Floats) -> Floats:
        """The log-odds of each row, shape (n,)."""
        return np.asarray((features - self.mean) / self.scale @ self.weights + self.bias)


@dataclass(frozen=True)
class Market:
    """Every bank's rows with consent: the part to learn from and the part to test on."""

    train: dict[str, Rows]
    test: dict[str, Rows]

    @classmethod
    def of(cls, parts: dict[tuple[str, str], pa.Table]) -> Self:
        """From the tables that ``split`` made."""
        return cls(
            {bank: Rows.of(parts[bank, "clients"]) for bank in BANKS},
            {bank: Rows.of(parts[bank, "clients_test"]) for bank in BANKS},
        )

    def auc(self, model: Linear) -> float:
        """Area under the ROC curve on all banks' test parts together."""
        everyone = pool(self.test.values())
        return float(roc_auc_score(everyone.labels, model.scores(everyone.features)))

    def pooled(self) -> Linear:
        """Logistic regression on all banks' rows in one place."""
        return fit(pool(self.train.values()))

    def alone(self, bank: str) -> Linear:
        """Logistic regression on one bank's rows."""
        return fit(self.train[bank])


def with_consent(table: pa.Table) -> pa.Table:
    """The rows whose client's consent stood when the banks imported it."""
    states = consents.standing(table[SUBJECT].to_pylist())
    return table.filter(pa.array([state == consents.GIVEN for state in states]))


def fit(rows: Rows) -> Linear:
    """Scikit-learn's logistic regression (L2 of strength 1e-4 on the mean loss) on standardised features."""
    mean, scale = _moments(rows.features)
    strength = 1.0 / (1e-4 * len(rows.labels))
    found = LogisticRegression(C=strength, max_iter=2000).fit((rows.features - mean) / scale, rows.labels)
    return Linear(mean, scale, found.coef_[0], float(found.intercept_[0]))


def _moments(features: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each column; a constant column gets scale 1."""
    scale = features.std(axis=0)
    return features.mean(axis=0), np.where(scale > 0, scale, 1.0)


def pool(parts: Iterable[Rows]) -> Rows:
    """All rows in one place."""
    together = list(parts)
    return Rows(
        np.concatenate([rows.features for rows in together]), np.concatenate([rows.labels for rows in together])
    )
