"""One network of one size: attaching, doing nothing, a statistics job, rounds in plain sight and sealed."""

import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.exchange import crowd, network
from benchmarks.exchange.costs import Costs, Round
from benchmarks.exchange.network import Network
from benchmarks.exchange.report import MOST_IN_A_SUM
from benchmarks.exchange.waiting import wait_until
from benchmarks.sum.kinds import PLAIN, SEALED
from benchmarks.sum.network import spec
from consortia_client.profile import Profile
from consortia_client.session import Session
from consortia_common.documents.jobspec import JobSpec
from tests.support import specs

IDLE_SECONDS = 10.0
JOB_SECONDS = 1800.0
POLL_SECONDS = 0.5
ENDED = frozenset({"finished", "failed", "refused"})


def measure(root: Path, institutions: int, lengths: tuple[int, ...], rounds: int) -> Costs:
    """Everything, in a network made for it."""
    with network.running(root, institutions) as made:
        before = made.memory()
        with crowd.attached(made) as seconds:
            costs = Costs(seconds, _idle(made), (made.memory() - before) / institutions)
            with Session(Profile.load(root / "analyst")) as session:
                costs.statistics = _whole(made, session, _statistics(made))
                costs.plain = {
                    length: _round(made, session, spec(PLAIN, institutions, length, rounds)) for length in lengths
                }
                summed = min(institutions, MOST_IN_A_SUM)
                costs.sealed = _round(made, session, spec(SEALED, summed, lengths[0], rounds))
    return costs


def _statistics(made: Network) -> JobSpec:
    return specs.spec("statistics", parties=made.banks[:MOST_IN_A_SUM])


def _idle(made: Network) -> float:
    """The share of a core that the coordinator uses while nothing but heartbeats happens."""
    spent = made.cpu()
    threading.Event().wait(IDLE_SECONDS)
    return (made.cpu() - spent) / IDLE_SECONDS


def _whole(made: Network, session: Session, asked: JobSpec) -> Round:
    """A whole job, from its submission to its end."""
    spent, began = made.cpu(), time.monotonic()
    _finish(session, asked, pause=0.05)
    return Round(time.monotonic() - began, made.cpu() - spent)


def _round(made: Network, session: Session, asked: JobSpec) -> Round:
    """One of a job's rounds; the first and the last are left out, see ``benchmarks.sum.rounds``."""
    job_id = _finish(session, asked, pause=POLL_SECONDS)
    begun = [stamp[2:] for stamp in made.stamps() if stamp[0] == job_id and stamp[1].startswith("round ")]
    first, last, count = begun[1], begun[-1], len(begun) - 2
    return Round(*((late - early) / count for early, late in zip(first, last, strict=True)))


def _finish(session: Session, asked: JobSpec, pause: float) -> str:
    job_id = session.submit(asked, int(time.time() * 1000)).job_id
    seen: list[Any] = []

    def ended() -> bool:
        seen[:] = [session.job(job_id)]
        return seen[0].state in ENDED

    wait_until(ended, f"{asked.kind} ends", JOB_SECONDS, pause)
    if seen[0].state != "finished":
        raise RuntimeError(f"{asked.kind} {seen[0].state}: {seen[0].stage}")
    return job_id
