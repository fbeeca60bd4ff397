"""``sealed_round``: rounds of an update of a given length, added under Flower's FedAvg as ``train`` adds them."""

from collections.abc import Mapping

from consortia_common.documents.base import Count, Number
from consortia_common.documents.kinds import KindParameters, Reads, SumShape, Tensor, Turn
from consortia_common.documents.strategies import Strategy


class Parameters(KindParameters):
    """Of a ``sealed_round`` job."""

    length: Count
    rounds: Count
    strategy: Strategy = Strategy()

    def reads(self, party: str) -> tuple[Reads, ...]:
        """Nothing."""
        del party
        return ()

    def turns(self, party: str) -> tuple[Turn, ...]:
        """The rounds, the result."""
        del party
        return (
            *(Turn("train", turn, gives="update") for turn in range(1, self.rounds + 1)), Turn("query.conclude"),
        )  # fmt: skip

    def sums(self) -> Mapping[str, SumShape]:
        """One update a round."""
        tensor = Tensor(length=self.length, clip=Number(1))
        return {"update": SumShape(word_bits=32, length=self.length, tensors=(tensor,))}
