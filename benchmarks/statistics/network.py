"""Three banks with their tables, everybody in this process; the work on rows is done by workers, as always."""

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
from tests.support.specs import BANKS, PURPOSE

_SECONDS, _TRIES = 1800.0, 10


@contextmanager
def consortium(root: Path, rows: int, customers: int) -> Iterator[Consortium]:
    """Everybody running and ready for jobs on the dataset "table"."""
    built = support.build(root)
    for bank in BANKS:
        print(f"· {rows:,} rows × {len(data.COLUMNS)} columns of {customers:,} customers for {bank}", flush=True)
        data.write(root / bank, rows, customers)
        (root / bank / "datasets.toml").write_text(data.datasets())
    notice = make_notice(PURPOSE, {"table": list(data.COLUMNS)}, BANKS).canonical()
    with support.running(built):
        for bank in BANKS:
            with control.node(built.node_config(bank)) as node:
                node.AddConsentNotice(control_pb2.AddConsentNoticeRequest(document=notice), timeout=60)
                node.ImportConsent(support.consent_table(root / bank), timeout=_SECONDS)
        _agree(built)
        yield built


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
