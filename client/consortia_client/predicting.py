"""Answers of a model for the rows of a file, on this machine; numpy and pyarrow come with the node's extra."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from consortia_client.errors import ClientError
from consortia_common.documents.fitted import Model
from consortia_common.models.predict import PREDICTION, predict


def predict_file(model: Model, data: Path, out: Path) -> int:
    """Write ``data`` with the model's answers to ``out``; the number of rows. Raises ClientError."""
    try:
        table = pa.csv.read_csv(data) if data.suffix == ".csv" else pa.parquet.read_table(data)
    except (pa.ArrowException, OSError) as error:
        raise _unfit(data, "it is no readable Parquet or CSV file") from error
    if PREDICTION in table.column_names:
        raise _unfit(data, f"it has a column {PREDICTION} already, which is the answer's name")
    answers = predict(model, columns_of(model, table, str(data)))
    answered = table.append_column(PREDICTION, pa.array(answers))
    (pa.csv.write_csv if out.suffix == ".csv" else pa.parquet.write_table)(answered, out)
    return int(table.num_rows)


def columns_of(model: Model, table: pa.Table, source: str) -> dict[str, NDArray[np.float64]]:
    """The model's columns as ``predict`` takes them. Raises ClientError where one is missing or no number."""
    absent = [name for name in model.columns if name not in table.column_names]
    if absent:
        raise _unfit(source, f"it has no column {', '.join(absent[:5])}")
    return {name: _column(model, name, table[name], source) for name in model.columns}


def _column(model: Model, name: str, column: pa.ChunkedArray, source: str) -> NDArray[np.float64]:
    if name in model.categories:
        known = pa.array([str(category) for category in model.categories[name]])
        column = pc.index_in(pc.cast(column, pa.string()), value_set=known)
    try:
        return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    except pa.ArrowException as error:
        raise _unfit(source, f"its column {name} holds no numbers") from error


def _unfit(source: object, why: str) -> ClientError:
    return ClientError(
        f"{source} can't be answered for: {why}",
        blame="the file, or the choice of the model",
        remedy="`consortia model show` lists the columns that the model needs",
    )
