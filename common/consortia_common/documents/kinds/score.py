"""``score``: one party's customers scored by another party's model, on features that stay encrypted."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from consortia_common.documents.base import ColumnName, Name
from consortia_common.documents.kinds import KindParameters, Reads, Turn, Use
from consortia_crypto.he.params import SCORE
from consortia_crypto.he.wire import form
from consortia_crypto.score.scale import blocks, room

_PUBLIC_KEY = 131_000
"""About as many bytes go with the features, so that the model's owner can blind its answer."""


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

    def takes(self) -> Mapping[str, Mapping[str, Use]]:
        """Features as numbers."""
        return {self.dataset: dict.fromkeys(self.features, "number")}

    def turns(self, party: str) -> tuple[Turn, ...]:
        """Features out and scores in at the data owner; one answer at the model owner."""
        if party == self.data_owner:
            return (Turn("query.encrypt"), Turn("query.conclude"))
        return (Turn("query.evaluate"),)

    def scored_rows(self) -> int:
        """As many as fit the ciphertexts; a smaller cohort gives the rest back when it is counted."""
        return room(self.max_rows)

    def letters(self, party: str, step: str, rows: int | None) -> tuple[int, int]:
        """One ciphertext a feature and block of rows goes one way, one a block the other."""
        del party
        known = self.max_rows if rows is None else min(rows, self.max_rows)
        length = form(SCORE, SCORE.scale).length
        features = blocks(known) * len(self.features) * length + _PUBLIC_KEY
        scores = blocks(known) * length
        return {
            "query.encrypt": (features, 0),
            "query.evaluate": (scores, features),
            "query.conclude": (0, scores),
        }[step]

    def result_bytes(self) -> int:
        """It says where the scores lie."""
        return 250

    def learns(self) -> dict[str, str]:
        """Scores stay with the data's owner, weights with the model's."""
        return {
            "analyst": "how many customers were scored",
            self.data_owner: "its own customers' scores, rounded; enough of them tell about the model",
            self.model_owner: "how many customers were scored; no feature and no score",
            "coordinator": "the spec, who takes part and when, the lengths of sealed letters; no value, no score",
        }

    def reporters(self, parties: tuple[str, ...]) -> tuple[str, ...]:
        """The data owner, who alone can decrypt."""
        del parties
        return (self.data_owner,)

    def models(self, party: str) -> tuple[str, ...]:
        """The model, at the model owner only."""
        return (self.model,) if party == self.model_owner else ()

    def keeps(self) -> bool:
        """The scores."""
        return True

    def problems(self, parties: tuple[str, ...]) -> list[str]:
        """Anything but exactly two parties, the data owner and the model owner; a feature named twice."""
        problems = []
        if len(parties) != 2 or set(parties) != {self.data_owner, self.model_owner}:
            problems.append("parties: exactly the data owner and the model owner, two different institutions")
        if len(set(self.features)) != len(self.features):
            problems.append("parameters.features: a feature is named twice")
        return problems
