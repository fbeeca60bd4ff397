"""A job that its analyst cancels ends everywhere, soon, with its keys and rows; nobody else can cancel it."""

import threading
import time

import pytest

from consortia_client.profile import Profile
from consortia_client.session import Session
from consortia_common.errors import ExchangeError, NotPermittedError
from consortia_coordinator.config import INSTITUTION
from consortia_node.store.jobs import JobStore
from tests.support import evidence
from tests.support.consortium import Consortium, enrol_person
from tests.support.specs import BANKS, averaging, spec

LONG = spec("train", model=averaging(rounds=100, epochs=50))


def started(consortium: Consortium) -> str:
    """A job with so many rounds that it would take minutes, in its first ones."""
    job_id = consortium.submit(LONG)
    with consortium.analyst() as session:
        for status in session.watch(job_id):
            if status.stage.startswith("round"):
                return job_id
    raise AssertionError("the job ended before its first round")


def test_a_cancelled_job_ends_at_every_party_and_leaves_nothing(consortium: Consortium) -> None:
    job_id = started(consortium)
    with consortium.analyst() as session:
        session.cancel(job_id)
    status = consortium.finish(job_id, 20)
    assert (status.state, status.stage) == ("cancelled", "cancelled by the analyst")
    (why,) = status.refusals
    assert (why.institution, why.failure.code) == ("analyst", "cancelled")
    for number, bank in enumerate(BANKS, 1):
        tools = consortium.running[number].tools
        over = time.monotonic() + 20
        while evidence.job_states(consortium, bank, job_id) != ["cancelled"] and time.monotonic() < over:
            threading.Event().wait(0.05)
        assert evidence.job_states(consortium, bank, job_id) == ["cancelled"]
        with tools.engine.connect() as connection:
            assert JobStore(connection).values(job_id) == {}
        assert not (tools.settings.folder / "work" / job_id).exists()
    told = [entry.type for entry in evidence.entries(consortium, INSTITUTION, job_id)]
    assert told[-2:] == ["job.cancelled", "job.failed"]
    with consortium.analyst() as session, pytest.raises(ExchangeError, match="can't be cancelled: it is cancelled"):
        session.cancel(job_id)


def test_nobody_else_cancels_it(consortium: Consortium) -> None:
    job_id = started(consortium)
    other = enrol_person(consortium, "bank-b", "analyst", "bo")
    with Session(Profile.load(other)) as session, pytest.raises(NotPermittedError, match="another analyst's"):
        session.cancel(job_id)
    with Session(Profile.load(consortium.root / "regulator")) as session, pytest.raises(NotPermittedError):
        session.cancel(job_id)
    with consortium.analyst() as session:
        assert session.job(job_id).state == "running"
        session.cancel(job_id)
    assert consortium.finish(job_id, 20).state == "cancelled"
    assert consortium.run(spec("statistics")).state == "finished"
