"""What a customer is told before consenting: one version of one notice, after ISO/IEC TS 27560.

A consent record cites its notice as id@version, and the notice holds the terms: purposes, recipients, data. So a
change of any of them is another notice, and needs another consent. A notice names no customer; it goes beside the
log as it is, and is never altered once a record cites it.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from consortia_common.documents.base import ColumnName, Document, Fingerprint, MistakesError, Name

Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,500}$")]
"""A line that people read."""
Iri = Annotated[str, StringConstraints(pattern=r"^https?://[!-~]{1,200}$")]
Scope = Literal["general", "recipient", "sensitive", "cross_border", "automated_decision"]
"""What the consent is separately for: PIPL 23 (a recipient), 29 (sensitive data), 39 (cross-border), 24."""


class Purpose(Document):
    """A purpose by the name that agreements use, and in the W3C Data Privacy Vocabulary."""

    name: Name
    iri: Iri
    description: Text


class NoticedData(Document):
    """Columns of a dataset that the customer was told of, and what they are called in plain words."""

    dataset: Name
    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=1000)]
    categories: Annotated[tuple[Text, ...], Field(min_length=1)]


class Recipient(Document):
    """Whom the data or results of it reach; what PIPL 23 wants told."""

    institution: Name
    name: Text
    contact: Text
    purpose: Text
    method: Text
    categories: Annotated[tuple[Text, ...], Field(min_length=1)]


class ConsentNotice(Document):
    """One version of one notice in one language."""

    schema_version: Literal[1]
    id: Name
    version: Annotated[int, Field(ge=1, le=999_999)]
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})?$")]
    text_sha256: Fingerprint
    """Of the text that customers saw."""
    controller: Text
    lawful_basis: Annotated[tuple[Text, ...], Field(min_length=1)]
    """The articles, as "GDPR 6(1)(a)" and "PIPL 13(1)"."""
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)] = ("general",)
    purposes: Annotated[tuple[Purpose, ...], Field(min_length=1)]
    data: Annotated[tuple[NoticedData, ...], Field(min_length=1)]
    recipients: tuple[Recipient, ...] = ()
    storage: Text
    retention: Text
    jurisdictions: Annotated[tuple[Text, ...], Field(min_length=1)]
    withdrawal: Text
    """How the customer can withdraw."""

    @property
    def reference(self) -> str:
        """id@version: how consent records and tables cite it."""
        return f"{self.id}@{self.version}"

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Nothing is named twice."""
        problems = []
        if len({purpose.name for purpose in self.purposes}) != len(self.purposes):
            problems.append("purposes: one is named twice")
        if len({part.dataset for part in self.data}) != len(self.data):
            problems.append("data: a dataset is named twice")
        if len({recipient.institution for recipient in self.recipients}) != len(self.recipients):
            problems.append("recipients: an institution is named twice")
        if self.recipients and "recipient" not in self.scopes and "general" not in self.scopes:
            problems.append("scopes: recipients are named, and the consent is for none")
        if problems:
            raise MistakesError(problems)
        return self
