"""PURE: what an agreement offers to a job: its parties, purposes, kinds, and the datasets that their owners have.

Put together from the agreement that all parties signed and, where they have published it, their catalogue; neither
holds a customer's value. Whether a job may run, each institution's gate decides.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from consortia_client.errors import ClientError
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.catalogue import CatalogueAnswer, CatalogueColumn, CatalogueDataset


@dataclass(frozen=True)
class OfferedColumn:
    """A column that jobs may read; what is not known about it is empty."""

    name: str
    type: str = ""
    role: str = ""
    """id, feature, label or time."""
    unit: str = ""
    meaning: str = ""
    allowed: str = ""
    """Its range or its values, as a person reads them."""
    differs: str = ""
    """What its owners declare differently, by institution; a job over all of them can't be trusted then."""

    def explained(self) -> str:
        """What is known about it, in one line."""
        kind = ", ".join(filter(None, (self.type, self.unit, self.role if self.role != "feature" else "")))
        told = ": ".join(filter(None, (kind, self.meaning)))
        return f"{told} ({self.allowed})" if self.allowed else told


@dataclass(frozen=True)
class OfferedDataset:
    """A dataset and those who have it."""

    name: str
    owners: tuple[str, ...]
    columns: tuple[OfferedColumn, ...]
    meaning: str = ""
    rows: Mapping[str, str] = field(default_factory=dict)
    """By institution, about how many rows it has."""

    def features(self) -> tuple[OfferedColumn, ...]:
        """What may describe or foretell: the numeric columns, as far as the types are known."""
        return tuple(
            column
            for column in self.columns
            if column.role in {"", "feature"} and column.type in {"", "number", "integer"}
        )

    def label(self) -> OfferedColumn | None:
        """The column whose role is to be foretold, if one is known."""
        return next((column for column in self.columns if column.role == "label"), None)


@dataclass(frozen=True)
class Offering:
    """What jobs may ask under one agreement."""

    agreement: str
    """id@version"""
    purposes: tuple[str, ...]
    parties: tuple[str, ...]
    kinds: tuple[str, ...]
    datasets: tuple[OfferedDataset, ...]

    @classmethod
    def of(cls, agreement: Agreement, told: Iterable[CatalogueAnswer] = ()) -> "Offering":
        """What ``agreement`` says, and what its parties ``told``; columns of those that did not, by name alone."""
        names = dict.fromkeys(dataset.name for dataset in agreement.datasets)
        answers = tuple(told)
        return cls(
            agreement=agreement.short,
            purposes=agreement.purposes,
            parties=tuple(party.institution for party in agreement.parties),
            kinds=tuple(kind.kind for kind in agreement.job_kinds),
            datasets=tuple(_dataset(agreement, name, answers) for name in names),
        )


def newest(agreements: Iterable[Agreement], wanted: str, kind: str) -> Agreement:
    """The agreement ``wanted``, id or id@version; if empty, the only one that allows ``kind``.

    Of several versions the newest. Raises ClientError if there is none, or more than one to choose from.
    """
    fitting = [
        agreement
        for agreement in agreements
        if (wanted in {agreement.id, agreement.short})
        or (not wanted and kind in {allowed.kind for allowed in agreement.job_kinds})
    ]
    latest = {agreement.id: agreement for agreement in sorted(fitting, key=lambda agreement: agreement.version)}
    if len(latest) == 1:
        return latest.popitem()[1]
    raise ClientError(
        f"{len(latest) or 'no'} agreements of this network allow {kind} jobs and fit {wanted or 'your question'}",
        blame="nobody",
        remedy=f"name one with --agreement: {', '.join(sorted(latest))}"
        if latest
        else "`consortia agreement list` at an institution shows the agreements; its officers can propose another",
    )


def _dataset(agreement: Agreement, name: str, told: tuple[CatalogueAnswer, ...]) -> OfferedDataset:
    entries = [entry for entry in agreement.datasets if entry.name == name]
    owners = dict.fromkeys(owner for entry in entries for owner in entry.owners)
    columns = dict.fromkeys(column for entry in entries for column in entry.columns)
    held = {
        answer.institution: dataset
        for answer in told
        for dataset in answer.datasets
        if dataset.name == name and answer.institution in owners
    }
    return OfferedDataset(
        name,
        tuple(owners),
        tuple(_column(column, held) for column in columns),
        next((dataset.meaning for dataset in held.values() if dataset.meaning), ""),
        {owner: _size(dataset) for owner, dataset in held.items()},
    )


def _size(dataset: CatalogueDataset) -> str:
    band = dataset.rows
    return f"{band.low:,}–{band.high - 1:,}" if band else "can't be read now"


def _column(name: str, held: Mapping[str, CatalogueDataset]) -> OfferedColumn:
    """What its owners declare; the first that does, where they differ."""
    known = {owner: column for owner, dataset in held.items() for column in dataset.columns if column.name == name}
    if not known:
        return OfferedColumn(name)
    first = next(iter(known.values()))
    said = {owner: _comparable(column) for owner, column in known.items()}
    differs = "; ".join(f"{owner}: {text}" for owner, text in said.items()) if len(set(said.values())) > 1 else ""
    return OfferedColumn(name, first.type, first.role, first.unit, first.meaning, _allowed(first), differs)


def _comparable(column: CatalogueColumn) -> str:
    """What must be the same at all owners for their numbers to be added up."""
    return " ".join(filter(None, (column.type, column.role, column.unit, column.meaning, _allowed(column))))


def _allowed(column: CatalogueColumn) -> str:
    if column.values:
        return ", ".join(map(str, column.values))
    if column.low is None or column.high is None:
        return ""
    return f"{float(column.low):.15g} to {float(column.high):.15g}"
