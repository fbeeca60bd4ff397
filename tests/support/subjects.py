"""A node's folder without a network, with customers and their keys, for tests of what is kept about customers."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from consortia_crypto.audit.entry import Entry
from consortia_node import config, enrolment
from consortia_node.assembly import close_tools, open_tools
from consortia_node.consent import Need
from consortia_node.consent_desk import ConsentDesk
from consortia_node.consent_import import ConsentRow, Findings
from consortia_node.consent_proofs import keep_pairs
from consortia_node.control import ControlService
from consortia_node.erasure import Erasures
from consortia_node.keyring import Keyring
from consortia_node.model_desk import ModelDesk
from consortia_node.notices import Notices
from consortia_node.store.cohorts import CohortStore
from consortia_node.store.consent_intake import Taken
from consortia_node.store.consents import ConsentStore
from consortia_node.store.jobs import JobStore, StoredJob
from consortia_node.tools import Tools
from consortia_node.withdrawals import Withdrawals
from consortia_proto.v1 import control_pb2
from tests.support.consent_notices import make_notice

PURPOSE = "risk"
START_MS = 1_767_225_600_000


def ring_in(folder: Path) -> Keyring:
    """The keys of a node in ``folder``, made if there are none."""
    return Keyring.open(folder / "unbacked" / "subjects.key", lambda: False)


@contextmanager
def opened(folder: Path) -> Iterator[Tools]:
    """The tools of the node in ``folder``, as at its start; the folder is made if it is not there."""
    if not (folder / "node.toml").exists():
        enrolment.create(folder, "bank-a")
    alone = config.load(folder / "node.toml").model_copy(update={"witnesses": "none"})
    tools = open_tools(alone)
    try:
        Erasures(tools).resume()
        yield tools
    finally:
        close_tools(tools)


def consents_of(tools: Tools) -> ConsentStore:
    return tools.consents


def import_customers(tools: Tools, numbers: Sequence[str]) -> None:
    """Everybody consents, each at a moment of their own."""
    rows = [
        ConsentRow(number, PURPOSE, "given", START_MS + 7919 * place, None, "notice@1")
        for place, number in enumerate(numbers)
    ]
    store = consents_of(tools)
    store.add_notice(make_notice(PURPOSE), lambda: None)

    def log(taken: Taken) -> None:
        root = keep_pairs(tools.settings.folder, taken.pairs)
        tools.log.append("consent.imported", purpose=PURPOSE, root=root, **taken.in_force[PURPOSE])

    assert store.import_rows(rows, Findings(), tools.now_ms(), log) is not None


def allowed_numbers(tools: Tools, at_ms: int = 0) -> list[str]:
    """Whose rows may be used for PURPOSE."""
    need = Need(PURPOSE, "clients", frozenset({"limit"}))
    return consents_of(tools).allowed(need, at_ms or tools.now_ms()).numbers.to_pylist()


def change(tools: Tools, number: str, state: str) -> None:
    """Change a consent as the control socket does."""
    request = control_pb2.SetConsentRequest(subject=number, purpose=PURPOSE, state=state)
    asyncio.run(control(tools).SetConsent(request, None))


def control(tools: Tools) -> ControlService:
    """The node's control service, called without a socket."""

    async def publish(_: object) -> None:
        raise AssertionError("nothing here is said to the coordinator")

    desk = ConsentDesk(tools, Withdrawals(tools), lambda: None)
    return ControlService(tools, Notices(tools), desk, ModelDesk(tools, lambda: None), publish, lambda: False)


def use_in_job(tools: Tools, job_id: str, numbers: Sequence[str], state: str = "finished") -> None:
    """A job that used these customers' rows."""
    members = [consents_of(tools).find(number).id for number in numbers]
    with tools.engine.begin() as connection:
        jobs = JobStore(connection)
        jobs.create(StoredJob(job_id, b"", "risk@1#" + "0" * 64, "accepted", "", START_MS))
        CohortStore(connection).note(job_id, "clients", len(members), np.array(members))
        if state == "finished":
            jobs.advance(job_id, "running", START_MS)
            jobs.advance(job_id, "finished", START_MS)


def entries(tools: Tools, event: str) -> list[Entry]:
    """The log's entries of that event."""
    return [entry for entry in map(Entry.parse, tools.log.read()) if entry.type == event]
