"""A frame holds what plain Python says it should: consented rows, gaps as gaps; or an error that counts the unfit.

Whatever a file's statistics let the engine conclude: they leave NaN out, for instance.
"""

import math
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_node.datasets import ColumnSettings
from consortia_node.errors import SourceError
from consortia_node.sources.scans import Scans
from tests.support.tables import cohort, dataset, formed, write

LOW, HIGH = -100.0, 100.0
numbers = st.none() | st.sampled_from([math.nan, math.inf, -math.inf, LOW, HIGH, 100.5, 0.0]) | st.floats(LOW, HIGH)
tables = st.lists(st.tuples(numbers, st.integers(0, 3), st.booleans()), max_size=12)


@settings(max_examples=15, deadline=None)
@given(tables, st.sampled_from(["parquet", "csv"]), st.booleans())
def test_a_frame_is_what_python_says(
    rows: list[tuple[float | None, int, bool]], form: str, is_ranged: bool
) -> None:
    bounds = {"low": LOW, "high": HIGH} if is_ranged else {}
    columns = {"x": ColumnSettings(type="number", **bounds)}
    table = pa.table(
        {
            "id": pa.array([f"C-{number}" for _, number, _ in rows], pa.string()),
            "x": pa.array([x for x, _, _ in rows], pa.float64()),
        }
    )
    consented = {f"C-{number}" for _, number, chosen in rows if chosen}
    used = [x for x, number, _ in rows if f"C-{number}" in consented]
    gone = [x for x in used if x is None or math.isnan(x)]
    infinite = [x for x in used if x is not None and math.isinf(x)]
    outside = [x for x in used if x is not None and is_ranged and math.isfinite(x) and not LOW <= x <= HIGH]
    with tempfile.TemporaryDirectory() as folder:
        place = cohort(dataset(write(Path(folder), form, table), columns), Path(folder), "x")
        assert formed(place, *sorted(consented)).rows_used == len(used)
        if infinite or outside:
            count, words = (len(infinite), "is infinite") if infinite else (len(outside), "lies outside")
            with pytest.raises(SourceError, match=f"x has {count} rows whose value {words}"):
                collected(place)
            return
        found = collected(place)
    assert found.count(None) == len(gone)
    kept = sorted(x for x in used if x is not None and not math.isnan(x))
    assert sorted(x for x in found if x is not None) == pytest.approx(kept)


def collected(place: object) -> list[float | None]:
    with Scans({"clients": place}) as scans:  # type: ignore[dict-item]
        values: list[float | None] = scans.frame("clients", ["x"]).collect("pyarrow").to_native()["x"].to_pylist()
    return values
