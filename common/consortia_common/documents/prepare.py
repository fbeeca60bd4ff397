"""How a ``train`` job's numeric columns are prepared, before they are standardised."""

from typing import Annotated

from pydantic import Field

from consortia_common.documents.base import Document, Number

Real = Annotated[Number, Field(ge=-(10**15), le=10**15)]


class Prepare(Document):
    """What is done to a numeric column before it is standardised, in this order."""

    fill: Real | None = None
    """In the place of a missing value; unless given, the mean is (trees keep a bin for missing values)."""
    low: Real | None = None
    """Smaller values become this."""
    high: Real | None = None
    """Larger values become this."""
    log1p: bool = False
    """Replaced by sign(x)·ln(1 + |x|)."""

    def problems(self) -> list[str]:
        """A range without room."""
        if self.low is None or self.high is None or self.low < self.high:
            return []
        return ["low must be below high"]
