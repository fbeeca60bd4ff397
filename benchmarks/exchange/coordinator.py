"""``python -m benchmarks.exchange.coordinator CONFIG STAMPS``: the coordinator as in service, but for two things.

It knows the benchmark's own kinds, and writes the time and its CPU time into STAMPS when a job comes further.
"""

import json
import sys
import time
from pathlib import Path
from unittest.mock import patch

from benchmarks.sum import kinds
from consortia_coordinator import config, service
from consortia_coordinator.jobrun import JobRun


def main(settings_file: str, stamps: str) -> None:
    """Run until told to stop."""
    kinds.add()
    progress = JobRun.progress
    with Path(stamps).open("a", buffering=1) as file:

        def stamped(run: JobRun, stage: str, done: int, total: int) -> None:
            file.write(json.dumps([run.job_id, stage, time.perf_counter(), time.process_time()]) + "\n")
            progress(run, stage, done, total)

        with patch.object(JobRun, "progress", stamped):
            service.run(config.load(Path(settings_file)))


if __name__ == "__main__":
    main(*sys.argv[1:])
