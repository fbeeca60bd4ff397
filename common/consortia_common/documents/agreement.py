"""The data-sharing agreement: what the parties allow, in a form that a node can decide by.

Every party signs the canonical bytes with its own keys. The keys of the others are named in it by fingerprint,
so whoever signs vouches for them, and no coordinator can put another key in their place.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from consortia_common.documents.base import ColumnName, Count, Document, Fingerprint, MistakesError, Moment, Name

PROPOSED, ACTIVE = "proposed", "active"
"""The two states that whoever judges a job must tell apart: not yet signed by all, and in force."""

LawfulBasis = Literal[
    "consent", "contract", "legal_obligation", "legitimate_interests", "vital_interests", "public_task"
]


class Party(Document):
    """An institution that signs and takes part."""

    institution: Name
    key: Fingerprint


class Analyst(Document):
    """A person who may submit jobs under this agreement."""

    institution: Name
    name: Name
    key: Fingerprint


class Dataset(Document):
    """Columns of one dataset that jobs may read, at the named owners."""

    name: Name
    owners: Annotated[tuple[Name, ...], Field(min_length=1)]
    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=1000)]


class JobKind(Document):
    """A kind of job that is allowed, and whom its result may reach."""

    kind: Name
    recipients: Annotated[tuple[Literal["analyst", "data_owner", "parties"], ...], Field(min_length=1)]


class Agreement(Document):
    """One version of one agreement."""

    schema_version: Literal[1]
    id: Name
    version: Annotated[int, Field(ge=1, le=999_999)]
    parent: Fingerprint | None = None
    """Hash of the version that this one replaces."""
    title: Annotated[str, Field(min_length=1, max_length=200)]
    purposes: Annotated[tuple[Name, ...], Field(min_length=1)]
    parties: Annotated[tuple[Party, ...], Field(min_length=2, max_length=200)]
    analysts: Annotated[tuple[Analyst, ...], Field(min_length=1)]
    datasets: Annotated[tuple[Dataset, ...], Field(min_length=1)]
    job_kinds: Annotated[tuple[JobKind, ...], Field(min_length=1)]
    lawful_basis: LawfulBasis = "consent"
    min_parties: Annotated[Count, Field(ge=2)] = 3
    """Fewest institutions in a sealed sum."""
    min_colluding: Count = 1
    """Institutions of a sum that may conspire with the coordinator and still learn no more than the sum."""
    min_rows: Annotated[Count, Field(ge=1)]
    """Fewest rows with consent that a node contributes; below, it refuses."""
    min_cell: Annotated[Count, Field(ge=1)] = 10
    """Smallest group whose statistics are released."""
    max_jobs: Annotated[Count, Field(ge=1)]
    """Query budget: jobs that may read under this version."""
    max_scored_rows: Count = 0
    """Query budget of a model: customers scored in all under this version (many exact scores reveal it)."""
    valid_from: Moment
    valid_until: Moment

    @property
    def reference(self) -> str:
        """id@version#hash: how every job and log entry cites this version."""
        return f"{self.id}@{self.version}#{self.hash()}"

    @property
    def short(self) -> str:
        """id@version: how a job spec cites it."""
        return f"{self.id}@{self.version}"

    def party(self, institution: str) -> Party | None:
        """The party of that name."""
        return next((party for party in self.parties if party.institution == institution), None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        """What no single field can say."""
        names = {party.institution for party in self.parties}
        problems = []
        if len(names) != len(self.parties):
            problems.append("parties: an institution is named twice")
        if len({party.key for party in self.parties}) != len(self.parties):
            problems.append("parties: two parties have one key")
        if self.valid_until <= self.valid_from:
            problems.append("valid_until: not after valid_from")
        strangers = {owner for dataset in self.datasets for owner in dataset.owners} - names
        if strangers:
            problems.append(f"datasets: {', '.join(sorted(strangers))} owns a dataset but is no party")
        if len({kind.kind for kind in self.job_kinds}) != len(self.job_kinds):
            problems.append("job_kinds: a kind is named twice")
        if (self.version == 1) != (self.parent is None):
            problems.append("parent: the first version has none, every later one names the version it replaces")
        if problems:
            raise MistakesError(problems)
        return self
