"""What of a fit is measured round by round, and when it ends early: part of a ``train`` job's parameters."""

from typing import Annotated, Literal

from pydantic import Field

from consortia_common.documents.base import Document, Number

MEASURES = 5
"""Numbers of a round that say how the model before it does: summed loss and weight of the rows learned from, the
same of those held out, and how many those are."""
RANKS = 512
"""Before them, where zeros and ones are held out: their counts in half as many bins of what the model answers."""
LARGEST_LOSS = Number(16)
"""Of one row, in what is measured while a fit goes on: a single absurd row can't hide how the others do."""


class Stopping(Document):
    """When a fit ends before its last round: once rows that it does not learn from are answered no better."""

    share: Annotated[Number, Field(gt=0, le=Number("0.5"))] = Number("0.2")
    """Of the customers, drawn by a hash of their number, so that a customer's rows are all held out or none."""
    metric: Literal["loss", "auc"] = "loss"
    """What tells better from worse: the loss, or the area under the ROC curve (of zeros and ones)."""
    patience: Annotated[int, Field(ge=1, le=1000)] = 5
    """After so many rounds (of trees: trees) that do no better on them."""
    tolerance: Annotated[Number, Field(ge=0, le=1)] = Number("0.0001")
    """By how much the metric must change for the better."""
