"""What a job left behind at everybody's: logs, journals, workers, files. Read from outside, as an auditor would."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from consortia_common import keyfiles
from consortia_common.audit_segments import LogFolder, RecordError, records
from consortia_common.audit_verify import verify_folder
from consortia_crypto.audit.entry import Entry
from tests.support.consortium import Consortium

ONCE_A_STEP = ("sum.added", "update.sealed", "sum.opened")


def so_far(folder: Path) -> Iterator[bytes]:
    """The records of a log that may be written to at this moment."""
    try:
        yield from records(LogFolder(folder), 0)
    except RecordError as error:
        if not error.tail:
            raise


def entries(consortium: Consortium, whose: str, job_id: str = "") -> list[Entry]:
    """The entries of a log, of one job if named."""
    parsed = [Entry.parse(data) for data in so_far(consortium.log(whose))]
    return [entry for entry in parsed if job_id in ("", entry.body.get("job"))]


def count(consortium: Consortium, whose: str, event: str, job_id: str = "") -> int:
    """How often an event is on a log."""
    return sum(entry.type == event for entry in entries(consortium, whose, job_id))


def repetitions(consortium: Consortium, whose: str, job_id: str) -> int:
    """How often a step of the job was taken again after its log entries had been written."""
    seen = Counter(
        (entry.body["detail"]["step"], entry.body["detail"]["round"], entry.type)
        for entry in entries(consortium, whose, job_id)
        if entry.type in ONCE_A_STEP
    )
    again: dict[tuple[str, int], int] = {}
    for (step, turn, _), times in seen.items():
        again[step, turn] = max(times - 1, again.get((step, turn), 0))
    return sum(again.values())


def verdicts(consortium: Consortium, names: tuple[str, ...]) -> dict[str, str]:
    """What an audit of each log says."""
    return {
        name: verify_folder(
            consortium.log(name), keyfiles.load_identity(consortium.root / name / "identity.key").public.fingerprint
        ).summary
        for name in names
    }


def job_states(consortium: Consortium, bank: str, job_id: str) -> list[str]:
    """The state of the job at a node."""
    return [str(state) for (state,) in _ask(consortium, bank, "SELECT state FROM jobs WHERE job_id = ?", job_id)]


def kept_values(consortium: Consortium, bank: str, job_id: str) -> int:
    """How many values (keys, models in the making) the node still keeps of the job."""
    return len(_ask(consortium, bank, "SELECT name FROM job_values WHERE job_id = ?", job_id))


def models(consortium: Consortium, bank: str, job_id: str) -> int:
    """How many models the job gave the institution."""
    return len(_ask(consortium, bank, "SELECT name FROM models WHERE name = ?", job_id))


def unanswered(consortium: Consortium, bank: str, job_id: str) -> list[str]:
    """The steps of the job's tasks that the node has and has not answered."""
    rows = _ask(consortium, bank, "SELECT step FROM tasks WHERE job_id = ? AND state = 'received'", job_id)
    return [str(step) for (step,) in rows]


def cohort_files(consortium: Consortium, bank: str, job_id: str) -> list[Path]:
    """Files with rows that the job left behind."""
    return list((consortium.root / bank / "work" / job_id).glob("*"))


def _ask(consortium: Consortium, bank: str, query: str, *values: str) -> list[tuple[object, ...]]:
    database = consortium.root / bank / "node.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(query, values).fetchall()
