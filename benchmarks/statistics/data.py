"""The banks' tables, made by DuckDB: 20 columns of numbers, categories and a label, many rows for each customer."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.specs import PURPOSE

REALS = tuple(f"d{place}" for place in range(8))
"""Amounts with two decimals up to 100,000; of the first, one in ten is missing."""
WHOLES = tuple(f"i{place}" for place in range(8))
"""Whole numbers up to 10,000."""
CATEGORIES = ("t0", "t1", "t2")
LETTERS = ("a", "b", "c", "d")
LABEL = "y"
COLUMNS = (*REALS, *WHOLES, *CATEGORIES, LABEL)
RANGES = dict.fromkeys(REALS, (0, 100_000)) | dict.fromkeys(WHOLES, (0, 10_000))


def write(folder: Path, rows: int, customers: int) -> None:
    """``data/table.parquet`` and ``data/consents.parquet`` of a bank; nine in ten customers have consented."""
    data = folder / "data"
    reals = [f"round(100000 * random(), 2) AS {name}" for name in REALS]
    reals[0] = f"CASE WHEN random() < 0.9 THEN round(100000 * random(), 2) END AS {REALS[0]}"
    wholes = [f"floor(10000 * random())::INTEGER AS {name}" for name in WHOLES]
    letters = [f"{list(LETTERS)}[1 + floor(4 * random())::INTEGER] AS {name}" for name in CATEGORIES]
    made = ", ".join([*reals, *wholes, *letters, f"random() < 0.2 AS {LABEL}"])
    customer = f"'C' || lpad((range * 7919 % {customers})::VARCHAR, 8, '0') AS client"
    with duckdb.connect() as engine:
        engine.execute("SET enable_progress_bar = false")
        engine.execute(f"COPY (SELECT {customer}, {made} FROM range({rows})) TO '{data / 'table.parquet'}'")
    numbers = range(customers)
    consents = {
        "subject": [f"C{number:08d}" for number in numbers],
        "purpose": [PURPOSE] * customers,
        "state": ["refused" if number % 10 == 3 else "given" for number in numbers],
        "effective_at": ["2026-01-01T00:00:00Z"] * customers,
        "valid_until": pa.nulls(customers, pa.string()),
        "notice": ["notice@1"] * customers,
    }
    pq.write_table(pa.table(consents), data / "consents.parquet")


def datasets(path: str = "data/table.parquet") -> str:
    """What datasets.toml says of the table."""
    lines = ['client = { type = "text", role = "id" }', f'{LABEL} = {{ type = "boolean", role = "label" }}']
    for names, kind in ((REALS, "number"), (WHOLES, "integer"), (CATEGORIES, "category")):
        lines += [f'{name} = {{ type = "{kind}" }}' for name in names]
    return f'[[datasets]]\nname = "table"\npath = "{path}"\n[datasets.columns]\n' + "\n".join(lines) + "\n"
