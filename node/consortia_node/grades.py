"""PURE: an institution signs no agreement that names one of its columns above the agreed grade.

The gate would refuse every job that reads it; whoever signs should hear it first. A column that datasets.toml does
not have, or has not yet, is no objection.
"""

from collections.abc import Iterator, Sequence

from consortia_common.documents.agreement import Agreement
from consortia_common.gate.rules import listed, max_grade
from consortia_node.datasets import DatasetSettings
from consortia_node.errors import AgreementError


def require_grades(agreement: Agreement, institution: str, datasets: Sequence[DatasetSettings]) -> None:
    """Return if no column of ``datasets`` is named above its grade. Raises AgreementError naming those that are."""
    above = list(_above(agreement, institution, datasets))
    if above:
        raise AgreementError(
            f"agreement {agreement.short} names {listed(above)} of {institution} above the agreed grade",
            blame="whoever wrote the agreement, or the grades in this institution's datasets.toml",
            remedy="take the column out, or raise the dataset's max_grade, and propose the agreement again",
        )


def _above(agreement: Agreement, institution: str, datasets: Sequence[DatasetSettings]) -> Iterator[str]:
    for dataset in datasets:
        for column, grade in dataset.grades.items():
            limit = max_grade(agreement, institution, dataset.name, column)
            if limit is not None and grade > limit:
                yield f"{dataset.name}.{column} (grade {grade}, up to {limit})"
