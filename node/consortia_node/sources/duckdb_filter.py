"""Which rows of a source a cohort uses, in DuckDB: by a bit for each row, or by their customers' numbers.

To look rows up by customer, a scan reads that column and hashes its text, which takes longer than most statistics.
The rows of Parquet files have numbers, which stay as long as the files stand as they stood. So the rows are looked
up once; scans then test bits (docs/adr/0064). Trusted for: both ways choose the same rows. A source that has a
column of its own under the name of DuckDB's numbers is filtered by customer.
"""

from collections.abc import Sequence

import narwhals as nw
import pyarrow as pa
from duckdb import ColumnExpression as Column
from duckdb import DuckDBPyRelation, SQLExpression
from duckdb.sqltypes import BIT

_FILE, _ROW = "filename", "file_row_number"
_PLACE = (
    Column(_FILE).alias("_in"),
    SQLExpression(f"{_ROW} >> 16").alias("_stretch"),
    SQLExpression(f"({_ROW} & 65535)::INTEGER").alias("_bit"),
)
"""Where a row lies. Files go by their names, as DuckDB numbers them anew when a query needs but some of them."""
_SAME = "_in = _file AND _stretch = _of AND get_bit(_bits, _bit) = 1"


def has_numbers(table: DuckDBPyRelation) -> bool:
    """Whether the rows of these Parquet files can be told by number."""
    return {_FILE, _ROW}.isdisjoint(name.lower() for name in table.columns)


def bits(table: DuckDBPyRelation, subject: str, customers: DuckDBPyRelation) -> pa.Table:
    """For each stretch of 65,536 rows of one file, a bit for each row: whether it is one of these customers'."""
    rows = by_customer(table.select(Column(subject), *_PLACE), subject, customers)
    stretches = "_in AS _file, _stretch AS _of, bitstring_agg(_bit, 0, 65535)::BLOB AS _bits"
    return rows.aggregate(stretches, "_in, _stretch").to_arrow_table()


def by_bits(table: DuckDBPyRelation, columns: Sequence[str], bits: DuckDBPyRelation) -> DuckDBPyRelation:
    """The rows whose bit is set, with ``columns``."""
    stretches = bits.select(Column("_file"), Column("_of"), Column("_bits").cast(BIT).alias("_bits"))
    return table.select(*map(Column, columns), *_PLACE).join(stretches, _SAME)


def by_customer(table: DuckDBPyRelation, subject: str, customers: DuckDBPyRelation) -> DuckDBPyRelation:
    """The rows of these customers."""
    rows = nw.from_native(table).join(nw.from_native(customers), on=subject, how="semi")
    chosen: DuckDBPyRelation = rows.to_native()
    return chosen
