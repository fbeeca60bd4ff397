"""What an analyst asks the parties of an agreement, what each of them offers under it, both signed.

An answer has names, types and meanings, the public ranges and categories that the institution declares, and the
number of rows in bands. No value of a row is in it.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from consortia_common.documents.base import ColumnName, Count, Document, Fingerprint, Name, Number
from consortia_common.documents.plan import Band
from consortia_common.documents.question import Question

ANSWER_DOMAIN = "catalogue.answer"
Said = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Values = tuple[int, ...] | tuple[str, ...]
Bound = Annotated[Number, Field(ge=-(10**18), le=10**18)]


class CatalogueQuestion(Question):
    """What these parties of an agreement offer under it."""

    STEP = "catalogue"

    agreement: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}@[1-9][0-9]{0,5}$")]
    """id@version."""
    parties: Annotated[tuple[Name, ...], Field(min_length=1, max_length=1000)]

    @property
    def asked(self) -> tuple[str, ...]:
        """The parties."""
        return self.parties

    @property
    def logged(self) -> dict[str, Any]:
        """The agreement."""
        return {"agreement": self.agreement}


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
