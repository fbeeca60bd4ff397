"""A coordinator in this process, banks as a benchmark wants, each a process, and an agreement of them all."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from grpc.aio import ServerInterceptor

from benchmarks.exchange.waiting import wait_until
from benchmarks.sum.kinds import PLAIN, SEALED
from consortia_client import control
from consortia_common import allocator, keyfiles
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.base import utc
from consortia_common.documents.jobspec import JobSpec
from consortia_common.errors import ExchangeError
from consortia_coordinator import config as coordinator_config
from consortia_coordinator import network
from consortia_coordinator.store.database import open_database
from consortia_coordinator.store.members import MembersStore
from consortia_node import config as node_config
from consortia_node import enrolment
from consortia_proto.v1 import control_pb2
from examples.credit_risk.processes import free_port
from tests.support.consortium import Consortium, enrol_person, running, wait_for
from tests.support.specs import PURPOSE
from tests.support.sums import roster

REFERENCE = "benchmark@1"
_TRIES = 50
_START_SECONDS, _STOP_SECONDS = 300, 30


@contextmanager
def consortium(root: Path, institutions: int, interceptors: Sequence[ServerInterceptor]) -> Iterator[Consortium]:
    """Everybody running and ready for jobs."""
    allocator.keep_freed()  # as a coordinator in a process of its own does
    built, banks = Consortium(root, free_port(), banks=()), roster(institutions)
    network.create(root / "coordinator", "bench", f"127.0.0.1:{built.port}", _now())
    for bank in banks:
        enrolment.create(root / bank, bank)
    # Releases need no witnesses here: they come before the first round and after the last.
    for settings in (built.coordinator_config, *map(built.node_config, banks)):
        settings.write_text(f'witnesses = "none"\n{settings.read_text()}')
    with running(built):
        for bank in banks:
            _enrol(built, bank)
        enrol_person(built, banks[0], "analyst", "analyst")
    with running(built, interceptors), _nodes(built, banks):
        built.banks = banks
        _agree(built, banks)
        yield built


def spec(kind: str, institutions: int, length: int, rounds: int) -> JobSpec:
    """A job of one of the benchmark's kinds."""
    value = {
        "version": 1,
        "name": kind,
        "kind": kind,
        "agreement": REFERENCE,
        "purpose": PURPOSE,
        "parties": list(roster(institutions)),
        "parameters": {"length": length, "rounds": rounds},
    }
    return JobSpec.from_value(value, "the benchmark's spec")


@contextmanager
def _nodes(built: Consortium, banks: Sequence[str]) -> Iterator[None]:
    """Every bank's node running and connected until the block ends."""
    (coordinator,) = built.running
    with (built.root / "nodes.log").open("ab") as output:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.sum.node", built.node_config(bank)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )
            for bank in banks
        ]  # fmt: skip
    try:
        wait_until(
            lambda: coordinator.exchange.connected() == set(banks), "all nodes are connected", _START_SECONDS
        )
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(_STOP_SECONDS)


def _enrol(built: Consortium, bank: str) -> None:
    engine = open_database(coordinator_config.load(built.coordinator_config).database_file)
    try:
        settings = coordinator_config.load(built.coordinator_config)
        invitation = network.invite(settings, MembersStore(engine), (bank, "node", "node"), _now())
    finally:
        engine.dispose()
    enrolment.enrol(node_config.load(built.node_config(bank)), invitation, _now)


def _agree(built: Consortium, banks: Sequence[str]) -> None:
    """Propose by the first bank, sign by all others."""
    document = _agreement(built, banks).canonical()
    with control.node(built.node_config(banks[0])) as node:
        node.ProposeAgreement(control_pb2.ProposeAgreementRequest(document=document), timeout=60)
    for bank in banks[1:]:
        wait_for(built, bank, lambda view: view is not None)
        _sign(built, bank)
    for bank in banks:
        wait_for(built, bank, lambda view: view is not None and view.state == "active")


def _sign(built: Consortium, bank: str) -> None:
    """Sign, as soon as the node has been told who the others are."""
    for left in reversed(range(_TRIES)):
        try:
            with control.node(built.node_config(bank)) as node:
                node.SignAgreement(control_pb2.SignAgreementRequest(reference=REFERENCE), timeout=60)
        except ExchangeError:
            if not left:
                raise
            threading.Event().wait(0.2)
        else:
            return


def _agreement(built: Consortium, banks: Sequence[str]) -> Agreement:
    keys = {
        name: keyfiles.load_identity(built.root / name / "identity.key").public.fingerprint
        for name in (*banks, "analyst")
    }
    value = {
        "schema_version": 1,
        "id": "benchmark",
        "version": 1,
        "title": "What a sealed sum costs",
        "purposes": [PURPOSE],
        "parties": [{"institution": bank, "key": keys[bank]} for bank in banks],
        "analysts": [{"institution": banks[0], "name": "analyst", "key": keys["analyst"]}],
        "datasets": [{"name": "none", "owners": list(banks), "columns": ["none"]}],
        "job_kinds": [{"kind": kind, "recipients": ["analyst"]} for kind in (SEALED, PLAIN)],
        "min_rows": 20,
        "max_jobs": 100,
        "max_scored_rows": 1,
        "valid_from": utc(_now() - timedelta(days=1)),
        "valid_until": utc(_now() + timedelta(days=1)),
    }
    return Agreement.from_value(value, "the benchmark's agreement")


def _now() -> datetime:
    return datetime.now(UTC)
