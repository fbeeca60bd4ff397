"""A job that its coordinator forgot does not keep keys and rows for ever; one that ends is receipted once."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from consortia_common.content import Content
from consortia_common.documents.receipt import Receipt
from consortia_node.abandoned import end_abandoned
from consortia_node.store.jobs import JobStore
from consortia_node.store.tasks import TaskStore
from tests.support.consortium import build
from tests.support.hostile import Bank, Hostile, content_of, hostile
from tests.support.specs import spec


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile(build(tmp_path_factory.mktemp("abandoned"))) as made:
        yield made


def after(bank: Bank, days: float) -> list[str]:
    """What the node ends if it is so many days later."""
    return end_abandoned(replace(bank.tools, clock=lambda: bank.tools.clock() + timedelta(days=days)))


def test_a_job_of_which_nothing_is_asked_is_ended_with_its_keys_and_rows(seat: Hostile) -> None:
    bank = seat.banks["bank-a"]
    forgotten, finished = seat.begun(spec("statistics")), seat.accepted(spec("statistics"))
    seat.round(forgotten, "table", "query.tabulate").until("upload")
    bank.ask("close", job=finished.job_id)
    assert (bank.tools.settings.folder / "work" / forgotten.job_id).exists()
    assert after(bank, 13.9) == []
    assert after(bank, 14.1) == [forgotten.job_id]
    with bank.tools.engine.connect() as connection:
        jobs = JobStore(connection)
        stored = jobs.get(forgotten.job_id)
        assert jobs.values(forgotten.job_id) == {}
    assert stored is not None
    assert (stored.state, stored.reason) == ("failed", "nothing was asked of it for 14 days")
    assert not (bank.tools.settings.folder / "work" / forgotten.job_id).exists()
    assert "nothing was asked of it for 14 days" in bank.reasons("job.failed")
    assert after(bank, 100) == []


def test_what_was_asked_lately_goes_on(seat: Hostile) -> None:
    """A job that was accepted long ago, and asked of since, is under way."""
    bank = seat.banks["bank-b"]
    deal = seat.accepted(spec("statistics"))
    later = lambda: bank.tools.clock() + timedelta(days=10)  # noqa: E731
    bank.tools.tasks._clock, before = later, bank.tools.tasks._clock
    try:
        seat.ask(deal, "bank-b", "epoch.key")
    finally:
        bank.tools.tasks._clock = before
    assert deal.job_id not in after(bank, 20)
    assert deal.job_id in after(bank, 25)


def test_a_node_killed_before_its_receipt_is_stored_gives_the_very_same_one(
    seat: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log tells of it already: of another one, the coordinator's log would seem to leave out the first."""
    bank, deal = seat.banks["bank-c"], seat.begun(spec("statistics"))
    seat.summed(deal, "table", "query.tabulate")
    seat.concluded(deal)
    finished = Content(config={"outcome": "finished"})
    with monkeypatch.context() as patched:
        patched.setattr(TaskStore, "answer", _killed)
        with pytest.raises(KeyboardInterrupt):
            bank.ask("close", finished, job=deal.job_id)
    document = content_of(bank.ask("close", finished, job=deal.job_id)).config["receipt"]
    told = [entry["detail"]["digest"] for entry in bank.entries("job.receipt") if entry["job"] == deal.job_id]
    assert told == [hashlib.sha256(document).hexdigest()] * 2
    assert Receipt.from_canonical(document, "the receipt").took.bytes_up > 0


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
