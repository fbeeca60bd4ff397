"""A consent table of the institution's own in a file: Parquet, or CSV if its name ends in .csv."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from consortia_node.sources.consent_rows import COLUMNS, refuse


def read_file(path: Path) -> pa.Table:
    """The table. Raises SourceError; what Arrow says is not passed on, as it may quote a row."""
    try:
        if path.suffix.lower() == ".csv":
            options = pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(COLUMNS, pa.string()), strings_can_be_null=True, null_values=[""]
            )
            return pyarrow.csv.read_csv(path, convert_options=options)
        return pyarrow.parquet.read_table(path, partitioning=None)
    except FileNotFoundError:
        raise refuse(path.name, "there is no such file") from None
    except (pa.ArrowException, OSError, ValueError):
        raise refuse(path.name, "it can't be read as Parquet, or as CSV if its name ends in .csv") from None
