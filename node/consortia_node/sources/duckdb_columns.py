"""PURE: a source's columns as datasets.toml declares them, as DuckDB expressions, and what can be wrong in one."""

import narwhals as nw
from duckdb import CaseExpression as Case
from duckdb import ColumnExpression as Column
from duckdb import ConstantExpression as Constant
from duckdb import Expression, SQLExpression
from duckdb import FunctionExpression as Function
from duckdb.sqltypes import BIGINT, DATE, DOUBLE, VARCHAR

from consortia_node.datasets import ColumnSettings
from consortia_node.sources.conform import is_coded

Faults = dict[str, Expression]
"""By key of UNFIT, when a value is so."""


def converted(name: str, column: ColumnSettings, stored: nw.dtypes.DType) -> tuple[Expression, Faults]:
    """A column of a fitting type (see conform.py)."""
    found, value, faults = Column(name), Column(name), dict[str, Expression]()
    match column.type:
        case "number":
            value = found.cast(DOUBLE)
            if stored.is_float():
                faults["infinite"] = Function("isinf", value)
                value = _finite(value)
        case "integer":
            value = found.cast(BIGINT)
        case "boolean" if stored != nw.Boolean:
            value, faults = found == Constant(1), {"binary": found.isnotin(Constant(0), Constant(1))}
        case "date":
            value = found.cast(DATE)
        case "category":
            as_codes = stored.is_integer() and (is_coded(column) or not column.values)
            value = found.cast(BIGINT if as_codes else VARCHAR)
    return value, faults | _range(value, column)


def plainly_fit(name: str, column: ColumnSettings, stored: nw.dtypes.DType) -> tuple[Expression, Expression]:
    """A numeric column's value, and when it is surely fit: looked at first, as it nearly always is.

    All else about a value is then evaluated for the few others alone, which halves the time of a scan.
    """
    value = Column(name).cast(DOUBLE if column.type == "number" else BIGINT)
    fit = Function("isfinite", value) if stored.is_float() else value.isnotnull()
    if column.low is not None and column.high is not None:
        fit = fit & (value >= Constant(column.low)) & (value <= Constant(column.high))
    return value, fit


_SQL_TYPES = {"number": "DOUBLE", "integer": "BIGINT", "boolean": "BOOLEAN", "date": "DATE"}


def parsed(name: str, column: ColumnSettings) -> tuple[Expression, Faults]:
    """A column of text as its declared type; what can't be read so is a fault."""
    found = Column(name)
    kind = "BIGINT" if is_coded(column) else _SQL_TYPES.get(column.type)
    if kind is None:
        return found, {}
    value = SQLExpression(f'TRY_CAST("{name}" AS {kind})')
    faults = {"type": found.isnotnull() & value.isnull()}
    if column.type == "number":
        faults["infinite"] = Function("isinf", value)
        value = _finite(value)
    return value, faults | _range(value, column)


def _finite(value: Expression) -> Expression:
    """The value, or none: "not a number" is how some systems write that there is none.

    By ``isfinite``, because DuckDB takes ``isnan`` to be false where a Parquet file's statistics, which leave NaN
    out, give a least and a greatest value.
    """
    return Case(Function("isfinite", value), value).otherwise(Constant(None))


def _range(value: Expression, column: ColumnSettings) -> Faults:
    if column.low is None or column.high is None:
        return {}
    return {"range": (value < Constant(column.low)) | (value > Constant(column.high))}
