"""A first description of a table for datasets.toml, from what is in it; a person completes and corrects it.

Trusted for: nothing that few rows have gets into it. Values become declared categories only if enough rows have
them, and ranges are left to the person: the least and greatest value of a table are somebody's.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from consortia_node.datasets import ColumnSettings, DatasetSettings
from consortia_node.errors import SourceError
from consortia_node.sources.places import refuse
from consortia_node.sources.profile import ColumnProfile, Passes, common_values, passes, profile

MOST_CATEGORIES = 64
"""A text column with more different values is not drafted as a category."""
ROWS_OF_CATEGORY = 10
"""A value that fewer rows have is not written into the draft."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_PROBE = "consortia_probe"


@dataclass(frozen=True)
class Source:
    """Where a table is that is to be described."""

    name: str
    place: str
    """A path as it is to stand in datasets.toml, or the address of a PostgreSQL database."""
    path: Path | None
    """The path from here."""
    table: str | None
    subject: str


def draft(source: Source) -> str:
    """The entry, to be appended to datasets.toml. Raises SourceError if the table can't be read."""
    dataset = _provisional(source)
    with passes(dataset, guess_types=True) as open_:
        found = profile(dataset, open_)
        lines = [line for column in found.columns for line in _lines(column, open_)]
        with open_() as engine:
            is_text = source.place.endswith(".csv") or not engine.schema[source.subject].is_integer()
    if all(line.startswith("#") for line in lines):
        raise refuse(
            dataset,
            "it has no column that could be offered, or no rows to tell their types by",
            "look at the file: a CSV needs a heading, commas between its columns, and rows",
        )
    one_each = not found.repeated
    where = "path" if source.path else "postgresql"
    return "\n".join(
        [
            "",
            "[[datasets]]",
            f"name = {_text(source.name)}",
            'meaning = ""   # what a row is',
            f"{where} = {_text(source.place)}",
            *([f"table = {_text(source.table)}"] if source.table else []),
            f"one_row_each = {str(one_each).lower()}",
            "[datasets.columns]",
            f'{source.subject} = {{ type = "{"text" if is_text else "integer"}", role = "id" }}',
            *lines,
            "",
        ]
    )


def _provisional(source: Source) -> DatasetSettings:
    columns = {source.subject: ColumnSettings(type="text", role="id")}
    dataset = DatasetSettings.model_construct(
        name=source.name,
        path=source.path,
        postgresql=None if source.path else source.place,
        table=source.table,
        one_row_each=False,
        columns=columns,
    )
    with passes(dataset, guess_types=True) as open_, open_() as engine:
        if source.subject not in engine.schema or not _NAME.fullmatch(source.subject):
            raise _no_subject(dataset, source.subject)
    return dataset


def _no_subject(dataset: DatasetSettings, subject: str) -> SourceError:
    return refuse(
        dataset,
        f"it has no column {subject} whose name is letters, digits and _",
        "name the column with the customer number by --id",
    )


def _lines(column: ColumnProfile, open_: Passes) -> Iterator[str]:
    """The column's line; as a comment where a person must decide."""
    if not _NAME.fullmatch(column.name):
        yield "# a column whose name is not letters, digits and _ can't be offered: rename it, in a view perhaps"
        return
    stored = column.stored.lower()
    said = 'meaning = ""'
    if "bool" in stored:
        yield f'{column.name} = {{ type = "boolean", {said} }}'
    elif "int" in stored and column.distinct <= 2 and {column.least, column.greatest} <= {"0", "1"}:
        yield f'{column.name} = {{ type = "boolean", {said} }}   # role = "label" if it is what models predict'
    elif "int" in stored:
        hint = 'low and high, its public range; or type = "category"'
        yield f'{column.name} = {{ type = "integer", {said}, unit = "" }}   # {hint}'
    elif "float" in stored or "decimal" in stored:
        yield f'{column.name} = {{ type = "number", {said}, unit = "" }}   # and its public range, low and high'
    elif "date" in stored:
        yield f'{column.name} = {{ type = "date", {said} }}   # role = "time" if it says when the row was made'
    elif stored.startswith(("string", "categorical", "enum")):
        yield from _category(column, open_, said)
    else:
        yield f"# {column.name}: its type {column.stored} can't be offered"


def _category(column: ColumnProfile, open_: Passes, said: str) -> Iterator[str]:
    values, others = common_values(open_, column.name, ROWS_OF_CATEGORY, MOST_CATEGORIES)
    if not values:
        yield f"# {column.name}: text with many different values is not offered; group it first"
        return
    left_out = f"   # without {others} values that few rows have" if others else ""
    yield f'{column.name} = {{ type = "category", {said}, values = {json.dumps(values)} }}{left_out}'


def _text(value: str | None) -> str:
    """A TOML basic string; JSON's escapes are TOML's."""
    return json.dumps(value or "", ensure_ascii=False)
