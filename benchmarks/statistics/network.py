"""Three banks with their tables and the coordinator, each a process of its own, as they are when deployed."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.statistics import data
from consortia_client import control
from consortia_common.documents.jobspec import JobSpec
from consortia_common.errors import ExchangeError
from consortia_proto.v1 import control_pb2, network_pb2
from tests.support import consortium as support
from tests.support.consent_notices import make_notice
from tests.support.consortium import Consortium
from tests.support.processes import EVERYBODY, Processes, cpu_seconds
from tests.support.specs import BANKS, PURPOSE

_SECONDS, _TRIES = 1800.0, 10
_WATCHED_SECONDS, _QUIET_SHARE, _REST_SECONDS = 0.5, 0.2, 60.0


@contextmanager
def consortium(root: Path, rows: int, customers: int) -> Iterator[Processes]:
    """Everybody running and ready for jobs on the dataset "table"."""
    built = support.build(root)
    for bank in BANKS:
        print(f"· {rows:,} rows × {len(data.COLUMNS)} columns of {customers:,} customers for {bank}", flush=True)
        data.write(root / bank, rows, customers)
        (root / bank / "datasets.toml").write_text(data.datasets())
    notice = make_notice(PURPOSE, {"table": list(data.COLUMNS)}, BANKS).canonical()
    with Processes(built) as processes:
        processes.start(*EVERYBODY)
        processes.gather(*BANKS)
        for bank in BANKS:
            with control.node(built.node_config(bank)) as node:
                node.AddConsentNotice(control_pb2.AddConsentNoticeRequest(document=notice), timeout=60)
                node.ImportConsent(support.consent_table(root / bank), timeout=_SECONDS)
        _agree(built)
        yield processes


def rest(processes: Processes) -> None:
    """Wait until the last job's traces are gone: workers that ended, and those loaded for the next job."""
    deadline = time.monotonic() + _REST_SECONDS
    while _share(processes) > _QUIET_SHARE and time.monotonic() < deadline:
        pass


def _share(processes: Processes) -> float:
    """How much of a core everybody uses."""
    began = _spent(processes)
    time.sleep(_WATCHED_SECONDS)
    return sum(now - began.get(pid, 0.0) for pid, now in _spent(processes).items()) / _WATCHED_SECONDS


def _spent(processes: Processes) -> dict[int, float]:
    pids = [processes.pid(name) for name in EVERYBODY]
    pids += [worker.pid for bank in BANKS for worker in processes.workers(bank)]
    return {pid: cpu_seconds(pid) for pid in pids}


def answer(built: Consortium, parameters: Mapping[str, Any]) -> Any:
    """The result of a job with these parameters."""
    value = {
        "version": 1,
        "name": "benchmark",
        "kind": "statistics",
        "agreement": "credit-risk@1",
        "purpose": PURPOSE,
        "parties": list(BANKS),
        "parameters": dict(parameters),
    }
    job_id = built.submit(JobSpec.from_value(value, "the benchmark's spec"))
    status = _finished(built, job_id)
    if status.state != "finished":
        raise SystemExit(f"the job was {status.state}: {status.stage} {status}")
    return built.result(job_id)


def _finished(built: Consortium, job_id: str) -> network_pb2.JobStatus:
    """The last status; a poll that a machine under load lets time out is made again."""
    for left in reversed(range(_TRIES)):
        try:
            return built.finish(job_id, _SECONDS)
        except ExchangeError:
            if not left:
                raise
    raise AssertionError


def _agree(built: Consortium) -> None:
    asked = {"name": "table", "owners": list(BANKS), "columns": list(data.COLUMNS)}
    document = support.make_agreement(built, datasets=[asked]).canonical()
    with control.node(built.node_config(BANKS[0])) as node:
        node.ProposeAgreement(control_pb2.ProposeAgreementRequest(document=document), timeout=60)
    for bank in BANKS[1:]:
        support.wait_for(built, bank, lambda view: view is not None)
        with control.node(built.node_config(bank)) as node:
            node.SignAgreement(control_pb2.SignAgreementRequest(reference="credit-risk@1"), timeout=60)
    for bank in BANKS:
        support.wait_for(built, bank, lambda view: view is not None and view.state == "active")
