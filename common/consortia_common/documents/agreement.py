"""The data-sharing agreement: what the parties allow, in a form that a node can decide by.

Every party signs the canonical bytes with its own keys. The keys of the others are named in it by fingerprint,
so whoever signs vouches for them, and no coordinator can put another key in their place.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from consortia_common.documents.base import ColumnName, Count, Document, Fingerprint, MistakesError, Moment, Name
from consortia_common.documents.consent_notice import Scope

PROPOSED, ACTIVE = "proposed", "active"
"""The two states that whoever judges a job must tell apart: not yet signed by all, and in force."""

_HASH_DIGITS = 8
"""So much of a hash names an agreement; less may be a slip."""

Days = Annotated[int, Field(ge=1, le=3660)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1, as DE or CN."""
Line = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Text for people, without line breaks."""
Recipient = Literal["analyst", "data_owner", "parties"]
"""Whom a result may reach."""

LawfulBasis = Literal[
    "consent", "contract", "legal_obligation", "legitimate_interests", "vital_interests", "public_task"
]


class Officer(Document):
    """A person who signs, suspends and approves for an institution, with keys of their own."""

    name: Name
    key: Fingerprint


class Party(Document):
    """An institution that signs and takes part."""

    institution: Name
    key: Fingerprint
    """The node's: its signature is the institution's word that the officers named here are its own."""
    country: Country | None = None
    """Where it handles data."""
    contact: Line = ""
    """Whom customers and authorities turn to."""
    officers: Annotated[tuple[Officer, ...], Field(max_length=50)] = ()
    officers_needed: Annotated[int, Field(ge=0, le=50)] = 0
    """How many of them must sign, besides the node."""

    def officer(self, key: str) -> Officer | None:
        """The officer with that key."""
        return next((officer for officer in self.officers if officer.key == key), None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        """A quorum that can be reached, of different people."""
        problems = []
        if bool(self.officers) != bool(self.officers_needed) or self.officers_needed > len(self.officers):
            problems.append(
                f"officers_needed: {self.officers_needed} of the {len(self.officers)} officers named can't be asked"
            )
        if len({officer.name for officer in self.officers}) != len(self.officers):
            problems.append("officers: an officer is named twice")
        if problems:
            raise MistakesError(problems)
        return self


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
    max_grade: Annotated[int, Field(ge=1, le=5)] = 3
    """The highest grade (JR/T 0197-2020) at which an owner may hold a column that is named here."""


class JobKind(Document):
    """A kind of job that is allowed, and whom its result may reach."""

    kind: Name
    recipients: Annotated[tuple[Recipient, ...], Field(min_length=1)]
    precision: Annotated[int, Field(ge=0, le=6)] = 6
    """The most decimals of values that such a job sums."""


class Approvals(Document):
    """Jobs that people must approve at each institution before its node takes part."""

    kinds: Annotated[tuple[Name, ...], Field(min_length=1)]
    officers: Annotated[int, Field(ge=1, le=50)] = 1
    """How many officers must approve at each party; one refusal is enough to refuse."""
    hours: Annotated[int, Field(ge=1, le=720)] = 72
    """After so long without them, the job is refused."""
    dual_control: bool = False
    """At least two officers, none of whom is the person who submitted the job."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Dual control by one person is none."""
        if self.dual_control and self.officers < 2:
            raise MistakesError(["officers: dual control takes at least 2"])
        return self


class PrivacyBudget(Document):
    """The differential-privacy loss that all jobs together may cost."""

    epsilon_micro: Annotated[Count, Field(ge=1)]
    """In millionths of ε."""
    period_days: Days = 365
    """What was spent longer ago counts no more."""


class Differencing(Document):
    """What earlier jobs forbid, since answers can be subtracted from each other."""

    memory_days: Days = 365
    """For so long a job is compared with earlier ones."""
    max_repeats: Annotated[Count, Field(ge=1)] = 100
    """How often one and the same question may be asked in that time."""


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
    dp: PrivacyBudget | None = None
    """Without it, no job that spends differential-privacy budget is allowed."""
    differencing: Differencing = Differencing()
    consent_required: tuple[Scope, ...] = ()
    """What a customer's consent must be separately for, besides purpose, recipients and columns; where it
    names any, rows without consent are left out whatever the lawful basis."""
    on_withdrawal: Literal["finish", "stop"] = "finish"
    """What becomes of a running job that has read a row whose consent is withdrawn: it goes on without, or ends."""
    approvals: Approvals | None = None
    """Without it, the gate decides alone."""
    geography: tuple[Country, ...] = ()
    """The countries in which the parties handle data; where it names any, each party must be in one of them."""
    retention_days: Days | None = None
    """For how long a recipient may keep a result; a promise, which no node can enforce at another."""
    dispute: Line = ""
    """How disputes are settled."""
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

    def approvals_for(self, kind: str) -> Approvals | None:
        """What it asks of people before a job of that kind, if anything."""
        return self.approvals if self.approvals and kind in self.approvals.kinds else None

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
        if self.valid_until <= self.valid_from:
            problems.append("valid_until: not after valid_from")
        problems += self._people() + self._places()
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

    def _people(self) -> list[str]:
        """What is wrong with who signs and approves."""
        problems = []
        keys = [party.key for party in self.parties]
        keys += [officer.key for party in self.parties for officer in party.officers]
        if len(set(keys)) != len(keys):
            problems.append("parties: two parties have one key, or two of their officers")
        asked = self.approvals
        if asked:
            lacking = [party.institution for party in self.parties if len(party.officers) < asked.officers]
            if lacking:
                problems.append(f"approvals: {', '.join(lacking)} names fewer than {asked.officers} officers")
            unknown = sorted(set(asked.kinds) - {kind.kind for kind in self.job_kinds})
            if unknown:
                problems.append(f"approvals.kinds: {', '.join(unknown)} is not among the job_kinds")
        return problems

    def _places(self) -> list[str]:
        """The parties that are outside of where the agreement holds."""
        outside = [party.institution for party in self.parties if party.country not in self.geography]
        if self.geography and outside:
            return [f"geography: {', '.join(outside)} is in none of the countries that it names"]
        return []


def is_named(reference: str, asked: str) -> bool:
    """Whether ``asked`` means the agreement with the reference id@version#hash.

    It may be the id, id@version, that and some of the hash, or so much of the hash alone that it is no slip.
    """
    short, _, digest = reference.partition("#")
    in_full = asked.startswith(f"{short}#") and reference.startswith(asked)
    by_hash = len(asked) >= _HASH_DIGITS and digest.startswith(asked)
    return asked in (short.partition("@")[0], short) or in_full or by_hash
