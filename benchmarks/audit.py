"""The audit log against the disk and the hash function under it: ``make bench-audit``.

The bare loop writes and syncs the very bytes that the log
would; the bare pass hashes them. Nothing is left out of the log's side: checking, encoding, chaining, signing, the
head. Results go to benchmarks/results/audit.json.
"""

import hashlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks.figures import Figure, figure, show, store, timed
from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder, frame, records
from consortia_common.audit_verify import verify_folder
from consortia_crypto.audit import batch
from consortia_crypto.audit.entry import Head
from consortia_crypto.audit.verify import ChainReader
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("bench", "bank-a", "node", "n1")
BATCH = 256
HAPPENING = (
    "access.granted",
    {"job": "job-0001", "purpose": "credit-risk", "agreement": "credit-risk@1#" + "ab" * 32, "dataset": "customers",
     "columns": ["age", "income", "balance"]},
)  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Measure, print, store. ``--quick`` measures a tenth, to see that it works."""
    scale = 0.1 if "--quick" in arguments else 1.0
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        figures = measure(Path(folder), scale)
    show(figures, "log", "bare")
    store(figures, "audit")


def measure(folder: Path, scale: float) -> list[Figure]:
    """Every figure."""
    figures = []
    with opened(folder / "log") as log:
        record = frame(log.append(HAPPENING[0], **HAPPENING[1]).raw)
        for callers, each in ((1, 2000), (64, 400)):
            bare = bare_writes(folder / "bare", record * callers, int(each * scale)) * callers
            rate, slowest = callers_append(log, callers, int(each * scale))
            goal = "≥ 10000 /s" if callers == 64 else ""
            slow = figure("  99th percentile of one append", slowest * 1000, "ms", None, "≤ 50 ms", slowest <= 0.05)
            figures += [
                figure(f"durable appends, {callers} callers", rate, "1/s", bare, goal, rate >= 10_000),
                slow,
            ]
        count = int(200 * scale)
        bare = bare_writes(folder / "bare", record * BATCH, count) * BATCH
        rate = 1 / timed(lambda: log.append_many([HAPPENING] * BATCH), count) * BATCH
        what = f"durable appends in batches of {BATCH}"
        figures.append(figure(what, rate, "1/s", bare, "≥ 60 %", rate >= 0.6 * bare))
        figures.append(ready_made(folder / "ready", bare, count))
        figures.append(checkpoint(log))
    return (
        figures + reading(folder / "log", folder / "ready") + whole_verification(folder / "job", int(200 * scale))
    )


def reading(mixed: Path, batches: Path) -> list[Figure]:
    """Verification, and opening again, of what was written: in batches only, and with many entries signed alone."""
    figures = []
    for path, what, goal in ((batches, "written in batches", "≥ 100000 /s"), (mixed, "written in every way", "")):
        entries = list(records(LogFolder(path)))
        bare = rate_of(partial(hash_all, entries), len(entries))
        rate = rate_of(partial(verify, path), len(entries))
        figures.append(figure(f"verification of a log {what}", rate, "1/s", bare, goal, rate >= 100_000))
    began = time.perf_counter()
    opened(mixed).close()
    spent = time.perf_counter() - began
    return [*figures, figure(f"opening a log of {len(entries)} entries, and closing it", spent, "s")]


def whole_verification(path: Path, count: int) -> list[Figure]:
    """All that ``consortia audit verify`` checks: chain, tree, tiles, checkpoint, coverage; of a job's rounds."""
    told = {"job": "job-0001", "step": "train", "round": 1, "digest": "ab" * 32, "length": 100}
    rounds = [
        ("update.sealed", told | {"bytes": 12_345}),
        ("sum.opened", told | {"institutions": ["bank-a", "bank-b"]}),
    ]
    with opened(path) as log:
        for _ in range(count):
            log.append_many(rounds * (BATCH // 2))
    entries = list(records(LogFolder(path)))
    bare = rate_of(partial(hash_all, entries), len(entries))
    rate = rate_of(partial(verify_folder, path), len(entries))
    return [
        figure("verification of a job's log, with tree and coverage", rate, "1/s", bare, "≥ 100000 /s", rate >= 1e5)
    ]


def hash_all(entries: Sequence[bytes]) -> None:
    """What no verifier can do without."""
    for raw in entries:
        hashlib.sha256(raw).digest()


def verify(path: Path) -> None:
    """Chain and signatures, as ``consortia audit verify`` checks them, on one core, from the disk."""
    folder = LogFolder(path)
    reader = ChainReader(OWNER.public, Head.parse(folder.head.read_bytes(), OWNER.public))
    for raw in records(folder):
        reader.follow(raw)
    reader.finish()


def ready_made(path: Path, bare: float, count: int) -> Figure:
    """Batches whose bodies were made before: what is left is chaining, signing, writing, syncing, the head."""
    body = batch.Body.of({
        "type": HAPPENING[0], "org": "bank-a", "retention_class": "handling", **HAPPENING[1],
    })  # fmt: skip
    with opened(path) as log:
        rate = 1 / timed(lambda: log._write([body] * BATCH), count) * BATCH
    return figure("  of which without checking and encoding the events", rate, "1/s", bare)


def checkpoint(log: AuditLog) -> Figure:
    """A checkpoint of everything written so far, tiles and bundles with it."""
    size = log.size - log.signed.checkpoint.size if log.signed else log.size
    began = time.perf_counter()
    log.checkpoint()
    return figure("entries into tiles and a signed checkpoint", size / (time.perf_counter() - began), "1/s")


def opened(path: Path) -> AuditLog:
    """A log for writing."""
    return AuditLog.open(path, OWNER, "bank-a", lambda: datetime.now(UTC))


def callers_append(log: AuditLog, callers: int, each: int) -> tuple[float, float]:
    """Appends a second, and the 99th percentile of the seconds that one takes."""
    spent: list[list[float]] = [[] for _ in range(callers)]
    gate = threading.Barrier(callers + 1)

    def run(mine: list[float]) -> None:
        gate.wait()
        for _ in range(each):
            began = time.perf_counter()
            log.append(HAPPENING[0], **HAPPENING[1])
            mine.append(time.perf_counter() - began)

    threads = [threading.Thread(target=run, args=(mine,)) for mine in spent]
    for thread in threads:
        thread.start()
    gate.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    total = time.perf_counter() - began
    ordered = sorted(value for mine in spent for value in mine)
    return len(ordered) / total, ordered[int(len(ordered) * 0.99)]


def bare_writes(path: Path, data: bytes, count: int) -> float:
    """How often a second ``data`` is appended to a file and synced, and nothing else."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC)

    def write() -> None:
        os.write(descriptor, data)
        os.fdatasync(descriptor)

    try:
        return 1 / timed(write, count)
    finally:
        os.close(descriptor)


def rate_of(act: Callable[[], object], items: int) -> float:
    """Items per second of one core's time, the best of three runs; what else the machine does counts little."""
    return items / min(timed(act, 1, time.process_time) for _ in range(3))


if __name__ == "__main__":
    main(sys.argv[1:])
