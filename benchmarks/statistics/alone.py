"""In a process of its own: a bank's own query, or a node's work on a large table and its peak memory.

``python -m benchmarks.statistics.alone query SQL`` prints seconds; ``… memory FOLDER`` prints seconds and MiB.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.statistics.data import COLUMNS
from benchmarks.statistics.questions import QUESTIONS
from consortia_common.documents.kinds.statistics import Parameters
from consortia_node.datasets import ColumnSettings, DatasetSettings
from consortia_node.sources.forming import form
from consortia_node.sources.places import Cohort, state_of
from consortia_node.sources.scans import Scans
from consortia_node.sources.tally import count_by
from consortia_node.stats import gather


def queries(texts: Sequence[str]) -> list[float]:
    """Seconds of each query, all running at the same time, each in a process of its own."""
    with ThreadPoolExecutor(len(texts)) as pool:
        return [float(out) for out in pool.map(lambda text: _run("query", text), texts)]


def memory(folder: Path, file: Path, copies: int) -> tuple[float, float]:
    """Seconds and MiB of a node's work on a table of so many hard links to one file."""
    table = folder / "large"
    table.mkdir()
    for number in range(copies):
        os.link(file, table / f"part-{number}.parquet")
    seconds, mib = json.loads(_run("memory", str(folder)))
    return float(seconds), float(mib)


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.statistics.alone", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]


def _query(text: str) -> str:
    with duckdb.connect() as engine:
        engine.execute("SET enable_progress_bar = false")
        began = time.perf_counter()
        engine.execute(text).fetchall()
        return str(time.perf_counter() - began)


def _memory(folder: Path) -> str:
    """Form a cohort of nine in ten customers, then the sums of every question, one after the other."""
    settings = {name: ColumnSettings(type=_type(name)) for name in COLUMNS}  # type: ignore[arg-type]
    settings |= {"client": ColumnSettings(type="text", role="id")}
    dataset = DatasetSettings.model_construct(
        name="table", path=folder / "large", columns=settings, one_row_each=False, postgresql=None, table=None
    )
    consents = pq.read_table(folder / "consents.parquet")
    allowed = consents.filter(pa.compute.equal(consents["state"], "given"))["subject"].combine_chunks()
    cohort = Cohort(dataset, COLUMNS, None, folder / "subjects.parquet", state_of(dataset))
    began = time.perf_counter()
    form(cohort, allowed)
    for question in QUESTIONS:
        parameters = Parameters.model_validate(question.parameters)
        with Scans({"table": cohort}) as scans:
            columns = parameters.reads("")[0].columns
            gather.table(scans.frame("table", columns), parameters, count_by)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return json.dumps([time.perf_counter() - began, peak])


def _type(column: str) -> str:
    return {"d": "number", "i": "integer", "t": "category", "y": "boolean"}[column[0]]


if __name__ == "__main__":
    print(_query(sys.argv[2]) if sys.argv[1] == "query" else _memory(Path(sys.argv[2])))
