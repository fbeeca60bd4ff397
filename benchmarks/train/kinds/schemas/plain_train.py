"""``plain_train``: as ``train``, but no step gives a sealed sum."""

from collections.abc import Mapping
from dataclasses import replace

from consortia_common.documents.kinds import SumShape, Turn, train

TOTAL = Turn("query.total")


class Parameters(train.Parameters):
    """Of a ``plain_train`` job: those of ``train``."""

    def turns(self, party: str) -> tuple[Turn, ...]:
        """The same steps, and one that brings the last total."""
        *steps, last = (replace(turn, gives="") for turn in super().turns(party))
        return (*steps, TOTAL, last)

    def sums(self) -> Mapping[str, SumShape]:
        """None."""
        return {}

    def as_train(self) -> train.Parameters:
        """The same job with sealed sums."""
        return train.Parameters.model_validate(self.model_dump())
