"""PURE: does a job take this institution's columns as what datasets.toml says that they are?

Two institutions may give one name to different things. A job that would take a column as something else than it is
declared here is refused by the gate's clause ``node.datasets``, at plan time already, and not in mid-job.
"""

from collections.abc import Iterator, Mapping, Sequence

from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds import Use
from consortia_common.gate.request import ACCEPT, Decision, refusal
from consortia_common.gate.rules import listed
from consortia_node.datasets import ColumnSettings, DatasetSettings

_TYPES: Mapping[Use, frozenset[str]] = {
    "number": frozenset({"integer", "number", "boolean", "category"}),
    "label": frozenset({"boolean"}),
    "category": frozenset({"category"}),
    "codes": frozenset({"category", "integer", "boolean"}),
    "words": frozenset({"category"}),
}
_WORDS: Mapping[Use, str] = {
    "number": "numbers",
    "label": "a label",
    "category": "categories",
    "codes": "categories that are whole numbers",
    "words": "categories that are text",
}


def decide_uses(spec: JobSpec, institution: str, datasets: Sequence[DatasetSettings]) -> Decision:
    """Accepted, or refused with the columns that are declared as something else here."""
    wrong = [
        words
        for dataset in datasets
        if any(reads.dataset == dataset.name for reads in spec.parameters.reads(institution))
        for words in _mistaken(dataset, spec.parameters.takes().get(dataset.name, {}))
    ]
    if not wrong:
        return ACCEPT
    return refusal("node.datasets", f"The job takes {listed(wrong)} by datasets.toml of {institution}.")


def _mistaken(dataset: DatasetSettings, uses: Mapping[str, Use]) -> Iterator[str]:
    for name, use in uses.items():
        column = dataset.offered.get(name)
        if column is not None and not _fits(column, use):
            yield f"{name} of {dataset.name} as {_WORDS[use]}, which is {_declared(column)}"


def _fits(column: ColumnSettings, use: Use) -> bool:
    if column.type not in _TYPES[use]:
        return False
    kinds = {type(value) for value in column.values}
    if use == "number" and column.type == "category":
        return kinds == {int}
    return not (use == "codes" and str in kinds) and not (use == "words" and int in kinds)


def _declared(column: ColumnSettings) -> str:
    if column.type != "category" or not column.values:
        return f"of type {column.type}"
    return f"a category of {'whole numbers' if isinstance(column.values[0], int) else 'text'}"
