"""``plain_round``: rounds of an update of a given length, which the coordinator adds in plain sight."""

from consortia_common.documents.base import Count
from consortia_common.documents.kinds import KindParameters, Reads, Turn


class Parameters(KindParameters):
    """Of a ``plain_round`` job."""

    length: Count
    rounds: Count

    def reads(self, party: str) -> tuple[Reads, ...]:
        """Nothing."""
        del party
        return ()

    def turns(self, party: str) -> tuple[Turn, ...]:
        """The rounds, the result."""
        del party
        return (*(Turn("train", turn) for turn in range(1, self.rounds + 1)), Turn("query.conclude"))
