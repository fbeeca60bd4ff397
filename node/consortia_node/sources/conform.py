"""PURE: what datasets.toml declares of columns, held against the source: whether it fits, and what to say."""

import narwhals as nw

from consortia_node.datasets import ColumnSettings, DatasetSettings
from consortia_node.sources.places import refuse

UNFIT = {
    "infinite": "is infinite",
    "range": "lies outside the range in datasets.toml",
    "binary": "is neither 0 nor 1",
    "type": "is not of the type in datasets.toml",
}
"""What can be wrong with a value, in words."""
_HOLDS = {
    "integer": "whole numbers",
    "number": "numbers",
    "boolean": "truth values, 0 or 1",
    "category": "text or whole numbers",
    "date": "dates",
}


def require_columns(schema: nw.Schema, dataset: DatasetSettings, columns: tuple[str, ...], *, typed: bool) -> None:
    """Return if the source has the customer number and the columns, of types that fit. Raises SourceError.

    A source that is not ``typed`` holds text alone, whose values are judged one by one.
    """
    remedy = "correct the dataset's entry in datasets.toml, or the table"
    for name in columns:
        if name not in dataset.offered:
            raise refuse(dataset, f"datasets.toml does not offer its column {name}", remedy)
    absent = [name for name in (dataset.subject, *columns) if name not in schema]
    if absent:
        raise refuse(dataset, f"it has no column {', '.join(absent)}", remedy)
    if not typed:
        return
    if not (schema[dataset.subject].is_integer() or schema[dataset.subject] == nw.String):
        raise refuse(dataset, f"its customer number {dataset.subject} is neither text nor whole numbers", remedy)
    for name in columns:
        column = dataset.columns[name]
        if not fits(schema[name], column):
            raise refuse(dataset, f"its column {name} does not hold {_HOLDS[column.type]}", remedy)
        if is_coded(column) and not schema[name].is_integer():
            raise refuse(dataset, f"its column {name} holds no whole numbers, as its declared values are", remedy)


def fits(found: nw.dtypes.DType, column: ColumnSettings) -> bool:
    """Whether a source's column of that type can hold what is declared."""
    match column.type:
        case "integer":
            return found.is_integer()
        case "number":
            return found.is_numeric()
        case "boolean":
            return found == nw.Boolean or found.is_numeric()
        case "date":
            return isinstance(found, nw.Date | nw.Datetime)
        case _:
            return isinstance(found, nw.String | nw.Categorical | nw.Enum | nw.Boolean) or found.is_integer()


def is_coded(column: ColumnSettings) -> bool:
    """Whether it is a category whose declared values are whole numbers."""
    return bool(column.values) and isinstance(column.values[0], int)
