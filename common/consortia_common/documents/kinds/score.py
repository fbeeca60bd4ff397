"""``score``: one party's customers scored by another party's model, on features that stay encrypted."""

from typing import Annotated, ClassVar

from pydantic import Field

from consortia_common.documents.base import ColumnName, Name
from consortia_common.documents.kinds import KindParameters, Reads, Turn
from consortia_crypto.score.scale import room


class Parameters(KindParameters):
    """Of a ``score`` job."""

    MIN_PARTIES: ClassVar[int] = 2

    data_owner: Name
    """Whose customers are scored; encrypts the features, alone decrypts the scores."""
    dataset: Name
    """Of the data owner."""
    features: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=256)]
    """In the order that both parties use."""
    model_owner: Name
    """Whose model scores; sees ciphertext only."""
    model: Name
    """By the name under which its owner keeps it."""
    max_rows: Annotated[int, Field(ge=1, le=10**7)] = 100_000
    """Score at most this many customers (the first, in the order of the cohort)."""

    def reads(self, party: str) -> tuple[Reads, ...]:
        """The features, at the data owner only."""
        if party != self.data_owner:
            return ()
        return (Reads(dataset=self.dataset, columns=self.features, subjects=True),)

    def turns(self, party: str) -> tuple[Turn, ...]:
        """Features out and scores in at the data owner; one answer at the model owner."""
        if party == self.data_owner:
            return (Turn("query.encrypt"), Turn("query.conclude"))
        return (Turn("query.evaluate"),)

    def scored_rows(self) -> int:
        """As many as fit the ciphertexts; a smaller cohort gives the rest back when it is counted."""
        return room(self.max_rows)

    def reporters(self, parties: tuple[str, ...]) -> tuple[str, ...]:
        """The data owner, who alone can decrypt."""
        del parties
        return (self.data_owner,)

    def models(self, party: str) -> tuple[str, ...]:
        """The model, at the model owner only."""
        return (self.model,) if party == self.model_owner else ()

    def problems(self, parties: tuple[str, ...]) -> list[str]:
        """Anything but exactly two parties, the data owner and the model owner; a feature named twice."""
        problems = []
        if len(parties) != 2 or set(parties) != {self.data_owner, self.model_owner}:
            problems.append("parties: exactly the data owner and the model owner, two different institutions")
        if len(set(self.features)) != len(self.features):
            problems.append("parameters.features: a feature is named twice")
        return problems
