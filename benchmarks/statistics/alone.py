"""In a process of its own: a bank's own query, or a node's work on a table, with its peak memory.

``python -m benchmarks.statistics.alone query SQL`` and ``… work FOLDER TABLE [QUESTION]`` print seconds, processor
seconds and MiB.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.statistics.data import COLUMNS
from benchmarks.statistics.questions import QUESTIONS, Question
from consortia_common.documents.kinds.statistics import Parameters
from consortia_node.datasets import ColumnSettings, DatasetSettings
from consortia_node.sources.forming import Known, form
from consortia_node.sources.places import Cohort, state_of
from consortia_node.sources.scans import Scans
from consortia_node.sources.tally import count_by
from consortia_node.stats import gather


@dataclass(frozen=True)
class Took:
    """What a process took for its work; ``processor`` are seconds of all its threads, whatever else ran."""

    seconds: float
    processor: float
    mib: float


def queries(texts: Sequence[str]) -> list[Took]:
    """What each query took, all running at the same time, each in a process of its own."""
    with ThreadPoolExecutor(len(texts)) as pool:
        return list(pool.map(lambda text: _run("query", text), texts))


def work(folder: Path, question: Question) -> Took:
    """What a node takes for one question on the table in ``folder``: the cohort, and the first round's sums."""
    return _run("work", str(folder), "table.parquet", question.name)


def large(folder: Path, copies: int) -> Took:
    """What a node's part of all questions takes on a table of so many hard links to one file."""
    table = folder / "large"
    table.mkdir()
    for number in range(copies):
        os.link(folder / "table.parquet", table / f"part-{number}.parquet")
    return _run("work", str(folder), table.name)


def _run(*arguments: str) -> Took:
    command = [sys.executable, "-m", "benchmarks.statistics.alone", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Took(*json.loads(done.stdout.splitlines()[0]))


def _measured(do: Callable[[], object]) -> str:
    began, before = time.perf_counter(), time.process_time()
    do()
    seconds, processor = time.perf_counter() - began, time.process_time() - before
    return json.dumps([seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024])


def _query(text: str) -> str:
    with duckdb.connect() as engine:
        engine.execute("SET enable_progress_bar = false")
        return _measured(lambda: engine.execute(text).fetchall())


def _work(folder: Path, table: str, questions: Sequence[Question]) -> str:
    """Form a cohort of nine in ten customers, then the sums of each question, one after the other."""
    settings = {name: ColumnSettings(type=_type(name)) for name in COLUMNS}  # type: ignore[arg-type]
    settings |= {"client": ColumnSettings(type="text", role="id")}
    dataset = DatasetSettings.model_construct(
        name="table", path=folder / table, columns=settings, one_row_each=False, postgresql=None, table=None
    )
    consents = pq.read_table(folder / "consents.parquet")
    allowed = consents.filter(pa.compute.equal(consents["state"], "given"))["subject"].combine_chunks()
    cohort = Cohort(dataset, COLUMNS, None, folder / "chosen.parquet", state_of(dataset))

    def do() -> None:
        form(cohort, allowed, Known())
        for question in questions:
            parameters = Parameters.model_validate(question.parameters)
            with Scans({"table": cohort}) as scans:
                gather.table(scans.frame("table", parameters.reads("")[0].columns), parameters, count_by)

    return _measured(do)


def _type(column: str) -> str:
    return {"d": "number", "i": "integer", "t": "category", "y": "boolean"}[column[0]]


def _main(what: str, *arguments: str) -> str:
    if what == "query":
        return _query(arguments[0])
    folder, table, *names = arguments
    return _work(Path(folder), table, [one for one in QUESTIONS if not names or one.name in names])


if __name__ == "__main__":
    print(_main(*sys.argv[1:]))
