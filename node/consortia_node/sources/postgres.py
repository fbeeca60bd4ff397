"""A dataset in PostgreSQL, streamed over ADBC within one transaction, so that every read sees the same rows.

The node connects by itself, so its operating-system user needs the right to read: a password belongs into a
password file (PGPASSFILE, ~/.pgpass) or a service file of that user, never into the address. The query is made from
checked names; nobody hands in SQL. Columns that PostgreSQL holds as numeric arrive as double precision.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from consortia_node.datasets import DatasetSettings
from consortia_node.errors import SourceError
from consortia_node.sources.places import refuse


class Server:
    """One dataset's table, within a transaction."""

    def __init__(self, dataset: DatasetSettings, connection: Any) -> None:
        self._dataset = dataset
        self._connection = connection
        self._table = ".".join(f'"{part}"' for part in dataset.table_name.split("."))
        self._open: list[Any] = []

    def rows(self, columns: Sequence[str]) -> pa.RecordBatchReader:
        """The customer number and the columns of all rows, as they come. Raises SourceError for absent columns."""
        wanted = [self._dataset.subject, *columns]
        absent = [name for name in wanted if name not in self.columns]
        if absent:
            remedy = "correct the dataset's entry in datasets.toml, or the table"
            raise refuse(self._dataset, f"it has no column {', '.join(absent)}", remedy)
        return self._select(wanted)

    def everything(self) -> pa.RecordBatchReader:
        """All columns of all rows, as they come."""
        return self._select(self.columns)

    @property
    def columns(self) -> list[str]:
        """The table's columns."""
        names: list[str] = self._schema().names
        return names

    def close(self) -> None:
        """Give back what the server keeps for reads that were not read to their end."""
        for cursor in self._open:
            cursor.close()

    def _select(self, names: Sequence[str]) -> pa.RecordBatchReader:
        schema = self._schema()
        chosen = ", ".join(_expression(name, schema.field(name)) for name in names)
        statement = f"SELECT {chosen} FROM {self._table}"  # noqa: S608 - quoted names of the table's own columns
        return self._cursor(statement).fetch_record_batch()

    def _schema(self) -> pa.Schema:
        cursor = self._cursor(f"SELECT * FROM {self._table} LIMIT 0")  # noqa: S608 - a name that was checked
        found: pa.Schema = cursor.fetch_arrow_table().schema
        return found

    def _cursor(self, statement: str) -> Any:
        cursor = self._connection.cursor()
        self._open.append(cursor)
        cursor.execute(statement)
        return cursor


def _expression(name: str, field: pa.Field) -> str:
    """The column as it is asked for: ``numeric`` has no counterpart in Arrow that the driver would use."""
    quoted = '"' + name.replace('"', '""') + '"'
    is_numeric = "numeric" in str(field.type) or b"numeric" in (field.metadata or {}).get(_TYPE_NAME, b"")
    return f"{quoted}::double precision AS {quoted}" if is_numeric else quoted


_TYPE_NAME = b"ADBC:postgresql:typname"


@contextmanager
def opened(dataset: DatasetSettings) -> Iterator[Server]:
    """The dataset's table for reading. Raises SourceError without what PostgreSQL says, which may quote a row."""
    import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415 - a node without PostgreSQL needs none of it

    try:
        connection = adbc.connect(dataset.postgresql or "")
    except adbc.Error:
        raise _unreached(dataset) from None
    try:
        with connection:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            server = Server(dataset, connection)
            try:
                yield server
            finally:
                server.close()
    except adbc.Error:
        raise unreadable(dataset) from None


def _unreached(dataset: DatasetSettings) -> SourceError:
    return refuse(
        dataset,
        "its PostgreSQL server can't be reached, or does not let the node's user in",
        "check the address and that the server runs, and the user's rights and password file (docs/datasets.md)",
    )


def unreadable(dataset: DatasetSettings) -> SourceError:
    """The error for a table that the server does not have, or does not let be read to its end."""
    return refuse(
        dataset,
        f"PostgreSQL does not let a table {dataset.table_name} be read",
        "check that a table or view of this name is there (`table` in datasets.toml, --table), and that the node's"
        " user may read it",
    )
