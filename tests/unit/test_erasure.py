"""Erasing a customer: logged first, done whole, finished after a crash at any point, and never logged twice."""

import json
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select

from consortia_common.audit_verify import verify_folder
from consortia_common.database import reading
from consortia_crypto import canonical
from consortia_crypto.subject import Opening
from consortia_node import results
from consortia_node.erasure import Erasures
from consortia_node.errors import SourceError, StoreError
from consortia_node.keyring import Keyring
from consortia_node.store.cohorts import CohortStore
from consortia_node.store.subjects import SubjectStore
from consortia_node.store.tables import erasures, payloads, subjects
from consortia_node.tools import Tools
from consortia_proto.v1 import control_pb2
from tests.support.subjects import (
    allowed_numbers,
    change,
    consents_of,
    control,
    entries,
    import_customers,
    opened,
    use_in_job,
)

NUMBERS = [f"C-{number:04d}" for number in range(12)]
VICTIM = NUMBERS[7]


class PowerCutError(Exception):
    """The process is gone."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("erasure") / "node"
    with opened(folder) as tools:
        import_customers(tools, NUMBERS)
        change(tools, VICTIM, "withdrawn")
        use_in_job(tools, "job-1", [VICTIM, NUMBERS[2]])
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "node"))


def rows(tools: Tools, table: Any) -> int:
    with reading(tools.engine) as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def assert_gone(tools: Tools, pseudonym: str) -> None:
    with pytest.raises(StoreError, match="no consent of this customer"):
        consents_of(tools).find(VICTIM)
    counts = [rows(tools, table) for table in (subjects, payloads, erasures)]
    assert counts == [len(NUMBERS) - 1, 0, 0]
    with reading(tools.engine) as connection:
        assert CohortStore(connection).members("job-1", "clients").size == 1
    assert [entry.body["subject"] for entry in entries(tools, "erasure.done")] == [pseudonym]
    assert not tools.keys.is_rolling
    allowed = allowed_numbers(tools)
    assert sorted(allowed) == sorted(set(NUMBERS) - {VICTIM})


def test_what_is_kept_goes_and_the_log_tells_what_it_reached(folder: Path) -> None:
    with opened(folder) as tools:
        pseudonym, kek = consents_of(tools).find(VICTIM).pseudonym, tools.keys.newest
        (erased,) = Erasures(tools).erase([VICTIM])
        assert_gone(tools, pseudonym)
        (entry,) = entries(tools, "erasure.done")
        assert erased.entry == entry.index
        assert entry.body["detail"] == {"jobs": 1, "models": 0, "payloads": 1}
        attached = folder / "log" / "documents" / f"{entry.body['payload_commit']}.json"
        assert canonical.decode(attached.read_bytes()) == {"v": 1, "jobs": ["job-1"], "models": []}
        assert tools.keys.find(kek.id) is None
    assert verify_folder(folder).summary == "verified"


def test_the_others_stay_as_they_were(folder: Path) -> None:
    with opened(folder) as tools:
        before = {number: consents_of(tools).find(number) for number in NUMBERS if number != VICTIM}
        Erasures(tools).erase([VICTIM])
        assert {number: consents_of(tools).find(number) for number in before} == before
    with opened(folder) as tools:
        assert {number: consents_of(tools).find(number) for number in before} == before


def test_who_comes_back_is_somebody_else(folder: Path) -> None:
    with opened(folder) as tools:
        old = consents_of(tools).find(VICTIM)
        Erasures(tools).erase([VICTIM])
        import_customers(tools, [VICTIM])
        new = consents_of(tools).find(VICTIM)
        assert (new.pseudonym == old.pseudonym, new.id == old.id, new.payloads) == (False, False, ())
        assert [record.state for record in new.records] == ["given"]


def test_several_are_erased_together_or_none(folder: Path) -> None:
    with opened(folder) as tools:
        with pytest.raises(StoreError):
            Erasures(tools).erase([VICTIM, "nobody"])
        assert consents_of(tools).find(VICTIM)
        assert entries(tools, "erasure.done") == []
        erased = Erasures(tools).erase([VICTIM, NUMBERS[2], VICTIM])
        assert len(erased) == len(entries(tools, "erasure.done")) == 2
        assert len(entries(tools, "keys.rolled")) == 1
        assert rows(tools, subjects) == len(NUMBERS) - 2


def test_a_job_under_way_is_named(folder: Path) -> None:
    with opened(folder) as tools:
        use_in_job(tools, "job-2", [VICTIM], state="accepted")
        (erased,) = Erasures(tools).erase([VICTIM])
        assert (erased.reach.jobs, erased.reach.running) == (["job-1", "job-2"], ["job-2"])
        version = consents_of(tools).version()
        Erasures(tools).erase([NUMBERS[2]])
        assert consents_of(tools).version() > version


def test_scores_of_the_customer_leave_the_results(folder: Path) -> None:
    kept = results.folder_of(folder, "job-1")
    kept.mkdir(parents=True)
    pq.write_table(pa.table({"subject": NUMBERS, "score": [0.5] * len(NUMBERS)}), kept / "scores.parquet")
    with opened(folder) as tools:
        Erasures(tools).erase([VICTIM])
    assert VICTIM not in pq.read_table(kept / "scores.parquet")["subject"].to_pylist()
    assert VICTIM.encode() not in (kept / "scores.parquet").read_bytes()


def test_an_unreadable_result_is_not_passed_over(folder: Path) -> None:
    kept = results.folder_of(folder, "job-1")
    kept.mkdir(parents=True)
    (kept / "scores.parquet").write_bytes(b"no table")
    with opened(folder) as tools:
        pseudonym = consents_of(tools).find(VICTIM).pseudonym
        with pytest.raises(SourceError, match="can't be read"):
            Erasures(tools).erase([VICTIM])
        assert VICTIM not in allowed_numbers(tools)
        (kept / "scores.parquet").unlink()
        Erasures(tools).erase([VICTIM])
        assert_gone(tools, pseudonym)


POINTS = [
    (Erasures, "_carry_out"),
    (Erasures, "_logged"),
    (results, "forget"),
    (Keyring, "begin_roll"),
    (SubjectStore, "remove"),
    (SubjectStore, "rewrap"),
    (Keyring, "end_roll"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name"), POINTS, ids=[name for _, name in POINTS])
def test_a_crash_anywhere_is_made_good_at_the_next_start(
    folder: Path, owner: Any, name: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(owner, name)

    def cut(*arguments: Any) -> None:
        if after:
            real(*arguments)
        raise PowerCutError

    with opened(folder) as tools:
        pseudonym = consents_of(tools).find(VICTIM).pseudonym
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, cut)
            with pytest.raises(PowerCutError):
                Erasures(tools).erase([VICTIM])
    with opened(folder) as tools:
        assert_gone(tools, pseudonym)
    assert verify_folder(folder).summary == "verified"


def test_the_log_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(folder) as tools:
        before = consents_of(tools).find(VICTIM)
        tools.log.close()
        with pytest.raises(Exception, match="log can't be used"):
            Erasures(tools).erase([VICTIM])
        assert consents_of(tools).find(VICTIM) == before


def test_a_key_of_an_interrupted_roll_is_destroyed_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(folder) as tools:
        with monkeypatch.context() as patch:
            patch.setattr(Keyring, "end_roll", Mock(side_effect=PowerCutError))
            with pytest.raises(PowerCutError):
                Erasures(tools).erase([VICTIM])
        under = tools.keys.keys
        Erasures(tools).erase([NUMBERS[2]])
        assert [key for key in under if tools.keys.find(key.id)] == []


def test_missing_keys_and_keys_of_another_age_are_refused(folder: Path) -> None:
    keys = folder / "unbacked" / "subjects.key"
    old = keys.read_bytes()
    with opened(folder) as tools:
        Erasures(tools).erase([VICTIM])
    keys.rename(folder / "elsewhere")
    with pytest.raises(StoreError, match="it is missing"), opened(folder):
        pass
    keys.write_bytes(old)
    keys.chmod(0o600)
    with pytest.raises(StoreError, match="11 customers in the database are under keys"), opened(folder):
        pass
    (folder / "elsewhere").rename(keys)
    with opened(folder) as tools:
        assert rows(tools, subjects) == len(NUMBERS) - 1


def test_keys_that_are_lost_for_good_take_the_customers_along(folder: Path) -> None:
    (folder / "unbacked" / "subjects.key").write_bytes(b"")
    with opened(folder) as tools:
        assert rows(tools, subjects) == 0
        (entry,) = entries(tools, "subjects.lost")
        assert entry.body["detail"] == {"count": len(NUMBERS)}
        import_customers(tools, NUMBERS)
        assert rows(tools, subjects) == len(NUMBERS)


async def test_what_entries_commit_to_can_be_opened_one_by_one(folder: Path) -> None:
    with opened(folder) as tools:
        view = await control(tools).ShowSubject(control_pb2.ShowSubjectRequest(subject=VICTIM), None)
        (entry,) = entries(tools, "consent.changed")
        (shown,) = view.openings
        assert entry.body["subject"] == view.pseudonym
        assert entry.body["payload_commit"] == shown.commitment == Opening(shown.salt, shown.content).commitment
        told = json.loads(shown.content)
        assert (told["customer"], told["record"]["state"]) == (VICTIM, "withdrawn")
        assert told["record"]["subject"] == view.pseudonym
        assert (view.jobs, view.models) == (["job-1"], [])
