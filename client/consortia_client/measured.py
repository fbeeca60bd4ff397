"""PURE: what a card shows of a model's metrics, checked: a model's file may have been edited by hand.

A job may measure more than is shown; what is shown must be what it takes itself for.
"""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field

from consortia_common.documents.base import Document

Real = Annotated[float, Field(ge=-1e15, le=1e15)]
Share = Annotated[float, Field(ge=0, le=1)]
Rows = Annotated[int, Field(ge=0, lt=1 << 53)]


class _Shown(Document):
    model_config = ConfigDict(extra="ignore")


class Range(_Shown):
    """Rows whose score lies in a range, and the share of ones among them."""

    low: Share
    high: Share
    share_of_ones: Share | None


class Gain(_Shown):
    """What share of all ones is in the best share of the rows."""

    share: Share
    gain: Share


class Round(_Shown):
    """How the model behind so many rounds did."""

    round: Rows
    loss: Real | None
    validation_loss: Real | None
    validation_auc: Share | None


class Measured(_Shown):
    """Figures and curves; none of them need be there."""

    rows: Rows | None = None
    ones: Rows | None = None
    auc: Real | None = None
    ks: Real | None = None
    average_precision: Real | None = None
    log_loss: Real | None = None
    brier: Real | None = None
    mae: Real | None = None
    rmse: Real | None = None
    r2: Real | None = None
    deviance: Real | None = None
    roc: tuple[tuple[Share, Share], ...] = ()
    calibration: tuple[Range, ...] = ()
    gains: tuple[Gain, ...] = ()
    curve: tuple[Round, ...] = ()

    @classmethod
    def of(cls, metrics: dict[str, Any]) -> Self:
        """What ``metrics`` hold of it. Raises DocumentError."""
        return cls.from_value(metrics, "the model's metrics")
