"""What an analyst asks the parties of an agreement, what each of them offers under it, both signed.

An answer has names, types and meanings, the public ranges and categories that the institution declares, and the
number of rows in bands. No value of a row is in it.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from consortia_common.documents.base import ColumnName, Count, Document, Fingerprint, Name, Number
from consortia_common.documents.plan import Band

QUESTION_DOMAIN = "catalogue.question"
ANSWER_DOMAIN = "catalogue.answer"
STEP = "catalogue"
"""The step by which nodes are asked."""
Said = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Values = tuple[int, ...] | tuple[str, ...]
Bound = Annotated[Number, Field(ge=-(10**18), le=10**18)]


class CatalogueQuestion(Document):
    """What the analyst signs."""

    v: Literal[1] = 1
    network: Name
    agreement: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}@[1-9][0-9]{0,5}$")]
    """id@version."""
    parties: Annotated[tuple[Name, ...], Field(min_length=1, max_length=1000)]
    nonce: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    asked_ms: Count
    analyst: Fingerprint

    @property
    def question_id(self) -> str:
        """Bound to every byte of the question."""
        return "catalogue-" + self.hash()[:16]


class CatalogueColumn(Document):
    """One column as the institution declares it."""

    name: ColumnName
    type: Name
    role: Name
    meaning: Said = ""
    unit: Said = ""
    grade: Count
    low: Bound | None = None
    high: Bound | None = None
    values: Annotated[Values, Field(max_length=10_000)] = ()


class CatalogueDataset(Document):
    """A table that the agreement lets jobs read."""

    name: Name
    meaning: Said = ""
    rows: Band | None
    """About how many; none if the table can't be read now."""
    columns: tuple[CatalogueColumn, ...]


class CatalogueAnswer(Document):
    """What one institution offers under the agreement."""

    v: Literal[1] = 1
    network: Name
    institution: Name
    question: Fingerprint
    """Hash of the question."""
    agreement: str
    """id@version#hash of the version in force."""
    datasets: tuple[CatalogueDataset, ...]
    answered_ms: Count
