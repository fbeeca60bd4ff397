"""``make bench-statistics``: whole jobs of three banks against their own queries, in one run.

A job's time is from submission to the opened result: gate, keys, cohort, scan, sealed sum, receipts. A bank's own
query is timed with all three running at once, as the machine is shared in the job as well; the slowest counts. The
pooled query is one on all rows. Processor time, of a node's cohort and first sums and of the bank's own query, is
what counts on a machine with other work. Results go to benchmarks/results/statistics.json.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure, figure, show, store
from benchmarks.statistics import alone, network
from benchmarks.statistics.questions import QUESTIONS, Question
from tests.support.processes import Processes
from tests.support.specs import BANKS

ROWS, CUSTOMERS, LARGE = 10_000_000, 100_000, 5
_FIRST = {"dataset": "table", "columns": ["i0"]}
"""A first job, to warm everybody up."""
TIMES, PLUS_SECONDS, MEMORY_MIB = 2.5, 1.0, 1024


def main(arguments: Sequence[str]) -> None:
    """Measure, print, store. ``--quick`` takes a hundredth of the rows, to see that it works."""
    quick = "--quick" in arguments
    rows, customers = (ROWS // 100, CUSTOMERS // 100) if quick else (ROWS, CUSTOMERS)
    print(f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        root = Path(folder)
        with network.consortium(root / "banks", rows, customers) as processes:
            network.answer(processes.consortium, _FIRST)
            figures = [line for question in QUESTIONS for line in _asked(processes, question)]
        figures += _memory(root / "banks" / BANKS[0] / "data", rows)
    print()
    show(figures, "joint", "own query")
    print(f"stored in {store(figures, 'statistics')}")


def _asked(processes: Processes, question: Question) -> list[Figure]:
    built = processes.consortium
    data = [built.root / bank / "data" for bank in BANKS]
    tables = [f"read_parquet('{folder / 'table.parquet'}')" for folder in data]
    own = max(alone.queries([question.query.format(table=table) for table in tables]), key=lambda one: one.seconds)
    files = ", ".join(f"'{folder / 'table.parquet'}'" for folder in data)
    (pooled,) = alone.queries([question.query.format(table=f"read_parquet([{files}])")])
    part = alone.work(data[0], question)
    network.rest(processes)
    began = time.perf_counter()
    network.answer(built, question.parameters)
    joint = time.perf_counter() - began
    met = joint <= TIMES * own.seconds + PLUS_SECONDS
    print(
        f"· {question.name}: {joint:.1f} s; own query {own.seconds:.1f} s, pooled {pooled.seconds:.1f} s",
        flush=True,
    )
    return [
        figure(question.name, joint, "s", own.seconds, f"≤ {TIMES} × + {PLUS_SECONDS:.0f} s", met),
        figure("  one query on the pooled table", pooled.seconds, "s", own.seconds),
        figure("  processor time of one node's scans", part.processor, "s", own.processor),
    ]


def _memory(data: Path, rows: int) -> list[Figure]:
    took = alone.large(data, LARGE)
    what = f"a node's work on {LARGE * rows:,} rows, all of the above"
    return [
        figure(what, took.seconds, "s"),
        figure("  its peak memory", took.mib, "MiB", None, f"< {MEMORY_MIB} MiB", took.mib < MEMORY_MIB),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
