"""A coordinator, three banks with a few hundred made-up customers each, an analyst and a regulator.

``build`` makes the folders and enrols everybody; ``running`` runs coordinator and nodes in this process, in an
event loop of their own, over a real port with mutual TLS. Their workers are forked from a process that has imported
what workers need: to start each afresh, as nodes do (see ``processes``), would take most of the tests' time.
"""

import asyncio
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from consortia_client import control, profile
from consortia_client.session import Session
from consortia_common import keyfiles, witness_keys, worker
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.base import utc
from consortia_common.documents.jobspec import JobSpec
from consortia_coordinator import config as coordinator_config
from consortia_coordinator import network
from consortia_coordinator import service as coordinator_service
from consortia_coordinator.store.database import open_database
from consortia_coordinator.store.members import MembersStore
from consortia_crypto.audit.witnesskeys import policy_of
from consortia_crypto.keys import PublicIdentity
from consortia_node import config as node_config
from consortia_node import enrolment
from consortia_node import service as node_service
from consortia_proto.v1 import control_pb2, network_pb2
from examples.credit_risk.processes import free_port
from tests.support.consent_notices import make_notice
from tests.support.specs import BANKS, PURPOSE

ROWS = 300
COLUMNS = {
    "income": 'type = "number", low = 0, high = 50000',
    "age": 'type = "integer", low = 0, high = 120',
    "region": 'type = "category", values = [1, 2, 3]',
    "default": 'type = "boolean", role = "label"',
}
"""As datasets.toml declares them."""
DATASETS = ("clients", "clients_test")
SECRET_COLUMN = "salary_note"
"""In every dataset, and in no agreement."""
JOB_SECONDS = 60
ENDED = frozenset({"finished", "refused", "failed", "cancelled"})


@dataclass
class Consortium:
    """Where everything lies."""

    root: Path
    port: int
    banks: Sequence[str] = BANKS
    running: list[Any] = field(default_factory=list)

    def node_config(self, bank: str) -> Path:
        return self.root / bank / "node.toml"

    @property
    def coordinator_config(self) -> Path:
        return self.root / "coordinator" / "coordinator.toml"

    def log(self, whose: str) -> Path:
        return self.root / whose / "log"

    def analyst(self) -> Session:
        return Session(profile.Profile.load(self.root / "analyst"))

    def submit(self, spec: JobSpec) -> str:
        """Submit as the analyst; the job's id."""
        with self.analyst() as session:
            return session.submit(spec, _now_ms()).job_id

    def finish(self, job_id: str, seconds: float = JOB_SECONDS) -> network_pb2.JobStatus:
        """The job's last status."""
        deadline = datetime.now(UTC) + timedelta(seconds=seconds)
        with self.analyst() as session:
            status = session.job(job_id)
            while status.state not in ENDED and datetime.now(UTC) < deadline:
                threading.Event().wait(0.05)
                status = session.job(job_id)
        if status.state not in ENDED:
            raise AssertionError(f"{job_id} is still {status.state}: {status.stage}")
        return status

    def run(self, spec: JobSpec) -> network_pb2.JobStatus:
        """Submit and wait."""
        return self.finish(self.submit(spec))

    def result(self, job_id: str) -> Any:
        with self.analyst() as session:
            return session.result(job_id).result

    def withdraw(self, bank: str, subject: str) -> control_pb2.ConsentView:
        with control.node(self.node_config(bank)) as node:
            return node.SetConsent(
                control_pb2.SetConsentRequest(subject=subject, purpose=PURPOSE, state="withdrawn"), timeout=20
            )


def build(root: Path, seed: int = 1, banks: Sequence[str] = BANKS) -> Consortium:
    """Folders, keys, certificates and data for everybody; nothing runs afterwards."""
    consortium = Consortium(root, free_port(), banks)
    network.create(root / "coordinator", "lab", f"127.0.0.1:{consortium.port}", datetime.now(UTC))
    for bank in consortium.banks:
        enrolment.create(root / bank, bank)
        write_data(root / bank, bank, seed)
        (root / bank / "datasets.toml").write_text(_datasets())
    profile.create(root / "analyst", "bank-a", "analyst", "ana")
    profile.create(root / "regulator", "authority", "regulator", "rex")
    with _looped(_coordinator_only(consortium)):
        for bank in consortium.banks:
            enrolment.enrol(
                node_config.load(consortium.node_config(bank)), _invite(consortium, bank, "node", "node"), _now
            )
        profile.enrol(root / "analyst", _invite(consortium, "bank-a", "analyst", "ana"), _now())
        profile.enrol(root / "regulator", _invite(consortium, "authority", "regulator", "rex"), _now())
    confirm_witnesses(consortium)
    return consortium


def confirm_witnesses(consortium: Consortium, quorum: int = 2) -> None:
    """Have everybody know everybody's fingerprint, and ask for the cosignatures of ``quorum`` of the others."""
    folders = {name: consortium.root / name for name in (*consortium.banks, "coordinator")}
    statements = {
        name: witness_keys.load_or_make(folder, keyfiles.load_identity(folder / "identity.key")).statement
        for name, folder in folders.items()
    }
    members = "".join(f"{bank} {_identity(consortium.root / bank).fingerprint}\n" for bank in consortium.banks)
    for name, folder in folders.items():
        others = [statement for other, statement in statements.items() if other != name]
        keyfiles.write_file(folder / "witness.policy", policy_of(others, quorum).raw)
        keyfiles.write_file(folder / "members.txt", members.encode())


@contextmanager
def running(
    consortium: Consortium, interceptors: Sequence[grpc.aio.ServerInterceptor] = (), banks: Sequence[str] = ()
) -> Iterator[Consortium]:
    """Coordinator and nodes in this process until the block ends."""

    async def everybody(stack: AsyncExitStack) -> list[Any]:
        settings = coordinator_config.load(consortium.coordinator_config)
        parts: list[Any] = [await stack.enter_async_context(coordinator_service.serving(settings, interceptors))]
        for bank in banks or consortium.banks:
            loaded = node_config.load(consortium.node_config(bank))
            parts.append(await stack.enter_async_context(node_service.serving(loaded)))
        return parts

    multiprocessing.set_forkserver_preload(["consortia_node.work", "consortia_node.sumwork"])
    with pytest.MonkeyPatch.context() as patched, _looped(everybody) as parts:
        patched.setattr(worker, "START", "forkserver")
        consortium.running = parts
        yield consortium


def enrol_person(consortium: Consortium, institution: str, role: str, name: str) -> Path:
    """Make and enrol another person's profile in a running consortium; its folder."""
    folder = consortium.root / name
    profile.create(folder, institution, role, name)
    profile.enrol(folder, _invite(consortium, institution, role, name), _now())
    return folder


def enrol_node(consortium: Consortium, bank: str) -> None:
    """Make and enrol one more institution's node in a running consortium; it is not started."""
    enrolment.create(consortium.root / bank, bank)
    loaded = node_config.load(consortium.node_config(bank))
    enrolment.enrol(loaded, _invite(consortium, bank, "node", "node"), _now)


def prepare(consortium: Consortium, **changes: Any) -> Agreement:
    """In a running consortium: import everybody's consent, sign the agreement by all. ``changes`` alter it."""
    named = [dataset["name"] for dataset in changes.get("datasets", [])]
    notice = consent_notice(*(name for name in named if name not in DATASETS), recipients=consortium.banks)
    for bank in consortium.banks:
        with control.node(consortium.node_config(bank)) as node:
            node.AddConsentNotice(notice, timeout=20)
            node.ImportConsent(consent_table(consortium.root / bank), timeout=60)
    agreement = make_agreement(consortium, **changes)
    first, *others = consortium.banks
    with control.node(consortium.node_config(first)) as node:
        request = control_pb2.ProposeAgreementRequest(document=agreement.canonical())
        node.ProposeAgreement(request, timeout=20)
    for bank in others:
        wait_for(consortium, bank, lambda view: view is not None)
        with control.node(consortium.node_config(bank)) as node:
            node.SignAgreement(control_pb2.SignAgreementRequest(reference=agreement.reference), timeout=20)
    for bank in consortium.banks:
        wait_for(consortium, bank, lambda view: view is not None and view.state == "active")
    return agreement


def consent_notice(*more: str, recipients: Sequence[str] = BANKS) -> control_pb2.AddConsentNoticeRequest:
    """What every bank's customers were shown; ``more`` datasets than the usual ones."""
    data = {name: list(COLUMNS) for name in (*DATASETS, *more)}
    return control_pb2.AddConsentNoticeRequest(document=make_notice(PURPOSE, data, recipients).canonical())


def consent_table(folder: Path) -> control_pb2.ImportConsentRequest:
    """Everybody's consent at the bank in ``folder``."""
    return control_pb2.ImportConsentRequest(path=str(folder / "data" / "consents.parquet"))


def make_agreement(consortium: Consortium, **changes: Any) -> Agreement:
    """The agreement of the three banks."""
    keys = {bank: _identity(consortium.root / bank).fingerprint for bank in consortium.banks}
    analyst = _identity(consortium.root / "analyst").fingerprint
    now = _now()
    columns = list(COLUMNS)
    value = {
        "schema_version": 1,
        "id": "credit-risk",
        "version": 1,
        "title": "A test agreement",
        "purposes": [PURPOSE],
        "parties": [{"institution": bank, "key": key} for bank, key in keys.items()],
        "analysts": [{"institution": "bank-a", "name": "ana", "key": analyst}],
        "datasets": [
            {"name": name, "owners": list(consortium.banks), "columns": columns}
            for name in ("clients", "clients_test")
        ],
        "job_kinds": [
            {"kind": "statistics", "recipients": ["analyst"]},
            {"kind": "train", "recipients": ["analyst", "parties"]},
            {"kind": "evaluate", "recipients": ["analyst"]},
            {"kind": "score", "recipients": ["analyst", "data_owner"]},
        ],
        "min_rows": 20,
        "max_jobs": 100,
        "max_scored_rows": 10_000,
        "valid_from": utc(now - timedelta(days=1)),
        "valid_until": utc(now + timedelta(days=365)),
    }
    return Agreement.from_value(value | changes, "the agreement")


def write_data(folder: Path, bank: str, seed: int) -> None:
    """Two tables and a consent table; nine in ten customers have consented."""
    generator = np.random.default_rng([seed, ord(bank[-1]) - ord("a")])
    subjects = [f"{bank.upper()}-{number:05d}" for number in range(2 * ROWS)]
    income = np.round(generator.gamma(4, 800, 2 * ROWS), 2).clip(0, 50_000)
    age = generator.integers(20, 80, 2 * ROWS)
    risk = 1 / (1 + np.exp((income - 3000) / 900 + (age - 45) / 20))
    table = pa.table(
        {
            "client": subjects,
            "income": income,
            "age": age,
            "region": generator.integers(1, 4, 2 * ROWS),
            "default": (generator.random(2 * ROWS) < risk).astype(np.int8),
            SECRET_COLUMN: generator.random(2 * ROWS),
        }
    )
    pq.write_table(table.slice(0, ROWS), folder / "data" / "clients.parquet")
    pq.write_table(table.slice(ROWS), folder / "data" / "clients_test.parquet")
    states = np.where(np.arange(2 * ROWS) % 10 == 3, "refused", "given")
    past, never = "2026-01-01T00:00:00Z", None
    consents = {
        "subject": subjects,
        "purpose": [PURPOSE] * len(subjects),
        "state": states.tolist(),
        "effective_at": [past] * len(subjects),
        "valid_until": pa.array([never] * len(subjects), pa.string()),
        "notice": ["notice@1"] * len(subjects),
    }
    pq.write_table(pa.table(consents), folder / "data" / "consents.parquet")


def wait_for(consortium: Consortium, bank: str, accept: Any, seconds: float = 20) -> None:
    """Wait until ``accept`` is true of the node's view of the agreement (None while it has none)."""

    def known() -> bool:
        with control.node(consortium.node_config(bank)) as node:
            found = node.ListAgreements(control_pb2.ListAgreementsRequest(), timeout=20).agreements
        return bool(accept(found[0] if found else None))

    wait_until(known, f"{bank} did not come to know the agreement as expected", seconds)


def wait_until(condition: Callable[[], bool], otherwise: str, seconds: float = 20) -> None:
    """Wait until ``condition`` holds."""
    deadline = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        deadline.wait(0.05)
    raise AssertionError(otherwise)


def _datasets() -> str:
    declared = {"client": 'type = "text", role = "id"', **COLUMNS, SECRET_COLUMN: 'type = "number"'}
    columns = "\n".join(f"{name} = {{ {about} }}" for name, about in declared.items())
    return "\n".join(
        f'[[datasets]]\nname = "{name}"\npath = "data/{name}.parquet"\n[datasets.columns]\n{columns}\n'
        for name in DATASETS
    )


def _identity(folder: Path) -> PublicIdentity:
    return keyfiles.load_identity(folder / "identity.key").public


def _invite(consortium: Consortium, institution: str, role: str, name: str) -> Any:
    settings = coordinator_config.load(consortium.coordinator_config)
    engine = open_database(settings.database_file)
    try:
        return network.invite(settings, MembersStore(engine), (institution, role, name), _now())
    finally:
        engine.dispose()


def _coordinator_only(consortium: Consortium) -> Any:
    async def start(stack: AsyncExitStack) -> list[Any]:
        settings = coordinator_config.load(consortium.coordinator_config)
        return [await stack.enter_async_context(coordinator_service.serving(settings))]

    return start


@contextmanager
def _looped(start: Any) -> Iterator[list[Any]]:
    """Run what ``start`` enters into its stack in an event loop of another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = AsyncExitStack()
    try:
        yield asyncio.run_coroutine_threadsafe(start(stack), loop).result(60)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _now() -> datetime:
    return datetime.now(UTC)


def _now_ms() -> int:
    return int(_now().timestamp() * 1000)
