"""The analyst's interface in Python: connect, see what is offered, plan, ask, and get tables.

    with Consortium.connect("analyst") as consortium:
        print(consortium.catalogue.to_pandas())
        answer = consortium.statistics(agreement="service-quality", dataset="contacts", columns=["minutes"])
        answer.to_pandas("columns")

Everything goes through ``Session``, so nothing is shown whose receipts do not hold. A refusal raises JobEndedError,
which says by whom, for what, and who can grant it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from consortia_client import page_parts
from consortia_client.catalogue import Catalogue
from consortia_client.errors import JobEndedError
from consortia_client.offering import newest
from consortia_client.plan import Plan
from consortia_client.profile import Profile
from consortia_client.progress import Seen, follow, watch
from consortia_client.results import Result
from consortia_client.session import Session
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import JobSpec
from consortia_proto.v1 import network_pb2 as pb

FAILED = frozenset({"refused", "failed", "cancelled"})


def _now_ms() -> int:
    return int(time.time() * 1000)


class Consortium:
    """A network as one analyst sees it; use it in a ``with`` block, or ``close`` it."""

    def __init__(self, session: Session, clock_ms: Callable[[], int] = _now_ms) -> None:
        self._session = session
        self._clock_ms = clock_ms

    @classmethod
    def connect(cls, folder: str | Path) -> Self:
        """As the person whose profile is in ``folder``. Raises ConsortiaError."""
        return cls(Session(Profile.load(Path(folder))))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Consortium as {self._session.whom}>"

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()

    @cached_property
    def agreements(self) -> tuple[Agreement, ...]:
        """Every agreement of the network; whether one is in force, each institution knows."""
        return tuple(self._session.agreements())

    @cached_property
    def catalogue(self) -> Catalogue:
        """What each agreement offers, asked of every party once."""
        return Catalogue([self._session.offering(one, self._clock_ms()) for one in self.agreements])

    @property
    def jobs(self) -> "Jobs":
        """The network's jobs."""
        return Jobs(self._session, self)

    def spec(
        self,
        kind: str,
        *,
        agreement: str = "",
        purpose: str = "",
        parties: Sequence[str] = (),
        name: str = "",
        colluding: int | None = None,
        **parameters: Any,
    ) -> JobSpec:
        """A job spec; what is not given is the agreement's first choice. Raises DocumentError, ClientError."""
        chosen = newest(self.agreements, agreement, kind)
        value = {
            "version": 1,
            "name": name or f"{kind}-{self._clock_ms()}",
            "kind": kind,
            "agreement": chosen.short,
            "purpose": purpose or chosen.purposes[0],
            "parties": list(parties) or [party.institution for party in chosen.parties],
            "colluding": colluding,
            "parameters": {field: _written(given) for field, given in parameters.items()},
        }
        return JobSpec.from_value(value, "your question")

    def plan(self, spec: JobSpec) -> Plan:
        """What every institution's gate would say to ``spec``, and what the job would take. Nothing is run."""
        return self._session.plan(spec, self._clock_ms())

    def submit(self, spec: JobSpec) -> "Job":
        """Hand in ``spec``; does not wait."""
        return Job(self, self._session.submit(spec, self._clock_ms()))

    def run(self, spec: JobSpec, *, progress: bool = True) -> Result:
        """Hand in ``spec`` and wait for its result. Raises JobEndedError if it is refused or fails."""
        return self.submit(spec).wait(progress=progress)

    def statistics(self, *, progress: bool = True, **question: Any) -> Result:
        """Ask for joint statistics and wait: see ``spec`` and docs/kinds/statistics.md for what can be given."""
        return self.run(self.spec("statistics", **question), progress=progress)

    def train(self, *, progress: bool = True, **question: Any) -> Result:
        """Have a model fitted and wait: see ``spec`` and docs/kinds/train.md for what can be given."""
        return self.run(self.spec("train", **question), progress=progress)

    def follow(self, job_id: str, *, progress: bool = True) -> pb.JobStatus:
        """Wait until a job has ended; its last status."""
        return follow(self._session, job_id, quiet=not progress)

    def watch(self, job_id: str) -> Iterator[Seen]:
        """Where a job stands and how its fit goes, each time that changes, until it ends."""
        return watch(self._session, job_id)

    def cancel(self, job_id: str) -> pb.JobStatus:
        """End a job of one's own; its status. Raises ConsortiaError if it has ended already."""
        return self._session.cancel(job_id)

    def result(self, job_id: str) -> Result:
        """The result of a finished job that this profile submitted. Raises ResultError if it can't be believed."""
        opened = self._session.result(job_id)
        cited = {receipt.agreement for receipt in opened.receipts}
        agreement = next((one for one in self.agreements if one.reference in cited), None)
        return Result(opened, agreement)


class Job:
    """A job that was handed in."""

    def __init__(self, consortium: Consortium, status: pb.JobStatus) -> None:
        self._consortium = consortium
        self.status = status
        """As it was when this was made."""

    @property
    def job_id(self) -> str:
        """Its id."""
        return self.status.job_id

    def wait(self, *, progress: bool = True) -> Result:
        """The result, once it is there. Raises JobEndedError if the job is refused or fails."""
        self.status = self._consortium.follow(self.job_id, progress=progress)
        if self.status.state in FAILED:
            raise ended(self.status)
        return self._consortium.result(self.job_id)

    def watch(self) -> Iterator[Seen]:
        """Its status and its fit's losses, each time that they change, until it ends; ``wait`` shows them."""
        for seen in self._consortium.watch(self.job_id):
            self.status = seen.status
            yield seen

    def cancel(self) -> None:
        """End it. Raises ConsortiaError if it has ended already."""
        self.status = self._consortium.cancel(self.job_id)

    def __repr__(self) -> str:
        return f"<Job {self.job_id} ({self.status.name}): {self.status.state}>"


class Jobs(Mapping[str, Job]):
    """The network's jobs by id, oldest first; in a notebook they show themselves."""

    def __init__(self, session: Session, consortium: Consortium) -> None:
        self._consortium = consortium
        self._known = {status.job_id: status for status in session.jobs()}

    def __getitem__(self, job_id: str) -> Job:
        return Job(self._consortium, self._known[job_id])

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return f"<{len(self)} jobs>"

    def _repr_html_(self) -> str:
        rows = [(one.job_id, one.name, one.kind, one.state, one.stage) for one in self._known.values()]
        return page_parts.table("jobs", ("job", "name", "kind", "state", "stage"), rows)


def ended(status: pb.JobStatus) -> JobEndedError:
    """Why a job has no result: who refused or failed, by which clause, and who can grant it."""
    alike: dict[str, list[str]] = {}
    for one in status.refusals:
        why = one.failure.what + (f" [{one.failure.clause}]" if one.failure.clause else "")
        alike.setdefault(why, []).append(one.institution)
    told = [f"{', '.join(institutions)}: {why}" for why, institutions in alike.items()]
    blamed = dict.fromkeys(one.failure.blame for one in status.refusals)
    remedies = dict.fromkeys(one.failure.remedy for one in status.refusals)
    return JobEndedError(
        f"{status.job_id} was {status.state}: {'; '.join(told) or status.stage}",
        blame="; ".join(blamed) or "see the job",
        remedy="; ".join(remedies) or f"`consortia job show {status.job_id}` says what is known",
    )


def _written(value: Any) -> Any:
    """A parameter as a document has it: decimals travel as text."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return {name: _written(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_written(inner) for inner in value]
    return value
