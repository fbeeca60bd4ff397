"""A consent table or view of the institution's own in PostgreSQL, read over ADBC.

The node connects by itself, so its operating-system user needs the rights: a password belongs into a password file
(PGPASSFILE, ~/.pgpass) or a service file of that user, never into the address, which other users may see. The
query is made from checked identifiers; nobody hands in SQL.
"""

import re
from urllib.parse import urlsplit

import pyarrow as pa

from consortia_node.sources.consent_rows import COLUMNS, REQUIRED, refuse

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")
SCHEMES = ("postgresql", "postgres")


def read_postgres(address: str, table: str) -> pa.Table:
    """The columns of ``table`` (or schema.table) in the database at ``address``. Raises SourceError."""
    import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415 - a node without PostgreSQL needs none of it

    if not _TABLE.fullmatch(table):
        raise refuse("in PostgreSQL", "its name must be that of a table or view, with a schema if need be")
    try:
        parts = urlsplit(address)
        unfit = parts.scheme not in SCHEMES or parts.password is not None or "password=" in parts.query
    except ValueError:
        unfit = True
    if unfit:
        raise refuse("in PostgreSQL", "its address must begin with postgresql:// and have no password in it")
    quoted = ".".join(f'"{part}"' for part in table.split("."))
    try:
        with adbc.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {quoted} LIMIT 0")  # noqa: S608 - an identifier that was checked
            names = cursor.fetch_arrow_table().column_names
            if not set(REQUIRED) <= set(names) <= set(COLUMNS):
                raise refuse(table, f"its columns must be exactly {', '.join(REQUIRED)}, and evidence if any")
            cursor.execute(f"SELECT {', '.join(names)} FROM {quoted}")  # noqa: S608
            found: pa.Table = cursor.fetch_arrow_table()
            return found
    except adbc.Error:
        raise refuse(table, "PostgreSQL does not let it be read") from None
