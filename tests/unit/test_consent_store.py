"""The store of consent: only what stands now allows, and nothing changes unlogged or backwards."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import Engine, func, select

from consortia_node.consent import Change, ConsentRecord, consent_root, pseudonym
from consortia_node.errors import ConsentError, StoreError
from consortia_node.sources.consent_file import ConsentRow
from consortia_node.store.consents import ConsentStore, Imported
from consortia_node.store.database import open_database
from consortia_node.store.tables import subjects
from tests.support.subjects import ring_in

NOW = datetime(2025, 6, 1, tzinfo=UTC)
NOW_MS = 1_748_736_000_000
DAY_MS = 86_400_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "node.db")
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> ConsentStore:
    return ConsentStore(engine, ring_in(tmp_path))


def no_log(*_: object) -> None:
    """The audit log of a test that does not look at it."""


def full_disk(*_: object) -> NoReturn:
    raise OSError("the log can't be written")


def row(
    subject: str, state: str = "given", days: int = -1, until_days: int | None = 1, purpose: str = "risk"
) -> ConsentRow:
    until = None if until_days is None else NOW_MS + until_days * DAY_MS
    return ConsentRow(subject, purpose, state, NOW_MS + days * DAY_MS, until, "n1")


def allowed(store: ConsentStore, purpose: str = "risk") -> set[str]:
    return set(store.allowed(purpose, NOW)["subject"].to_pylist())


def test_only_consent_that_stands_now_allows(store: ConsentStore) -> None:
    rows = [
        row("1"),
        row("2", "renewed", until_days=None),
        row("3", "refused"),
        row("4", "withdrawn"),
        row("5", days=1),
        row("6", days=-2, until_days=0),
        row("7", purpose="marketing"),
        row("8", days=0),
    ]
    report = store.import_rows([rows[:3], rows[3:]], no_log)
    assert report.counts == {"given": 5, "renewed": 1, "refused": 1, "withdrawn": 1}
    assert report.changed == 8
    assert allowed(store) == {"1", "2", "8"}
    assert allowed(store, "marketing") == {"7"}


def test_what_is_allowed_proves_which_record_was_relied_on(store: ConsentStore) -> None:
    report = store.import_rows([[row("1"), row("2")]], no_log)
    table = store.allowed("risk", NOW)
    record = store.records("1")[0]
    where = table["subject"].to_pylist().index("1")
    assert table["pseudonym"][where].as_py() == record.pseudonym
    assert table["record_hash"][where].as_py() == store.find("1").held(record).commitment
    assert (
        consent_root(zip(table["pseudonym"].to_pylist(), table["record_hash"].to_pylist(), strict=True))
        == report.root
    )


def test_each_subject_has_one_key_of_its_own(store: ConsentStore) -> None:
    store.import_rows([[row("1"), row("1", purpose="marketing"), row("2")]], no_log)
    store.import_rows([[row("1", "withdrawn", days=0)]], no_log)
    first, second = store.find("1"), store.find("2")
    assert first.key != second.key
    assert {record.pseudonym for record in store.records("1")} == {pseudonym(first.key)}


def test_an_older_or_equal_table_does_not_bring_consent_back(store: ConsentStore) -> None:
    given = row("1")
    store.import_rows([[given]], no_log)
    store.change("1", "risk", Change("withdrawn", NOW_MS), no_log)
    assert store.import_rows([[given]], no_log).changed == 0
    assert store.import_rows([[row("1", days=0)]], no_log).changed == 0
    assert allowed(store) == set()
    assert store.import_rows([[row("1", days=1)]], no_log).changed == 1


def test_at_the_same_moment_the_stricter_record_wins(store: ConsentStore) -> None:
    store.import_rows([[row("1")]], no_log)
    assert store.import_rows([[row("1", "refused")]], no_log).changed == 1
    assert store.import_rows([[row("1")]], no_log).changed == 0
    assert store.import_rows([[row("1", "refused")]], no_log).changed == 0


def test_a_withdrawal_dated_before_a_consent_to_come_still_stands(store: ConsentStore) -> None:
    later = row("1", days=1, until_days=9)
    store.import_rows([[later]], no_log)
    store.change("1", "risk", Change("withdrawn", NOW_MS), no_log)
    assert store.import_rows([[later]], no_log).changed == 0
    assert [record.state for record in store.records("1")] == ["withdrawn"]


def test_nothing_changes_unless_it_is_logged(store: ConsentStore) -> None:
    store.import_rows([[row("1")]], no_log)
    version = store.version()
    with pytest.raises(OSError, match="log"):
        store.import_rows([[row("2")]], full_disk)
    with pytest.raises(OSError, match="log"):
        store.change("1", "risk", Change("withdrawn", NOW_MS), full_disk)
    assert (allowed(store), store.version()) == ({"1"}, version)
    with pytest.raises(StoreError):
        store.records("2")


def test_a_mistake_in_a_late_batch_takes_nothing_over(store: ConsentStore) -> None:

    def batches() -> Iterator[list[ConsentRow]]:
        yield [row("1")]
        raise ConsentError("row 2 is wrong", blame="the file", remedy="correct it")

    with pytest.raises(ConsentError):
        store.import_rows(batches(), no_log)
    assert allowed(store) == set()


def test_every_change_is_counted_and_reported_by_pseudonym(store: ConsentStore) -> None:
    reports: list[Imported] = []
    records: list[ConsentRecord] = []
    assert store.version() == 0
    store.import_rows([[row("1")]], reports.append)
    store.change("1", "risk", Change("withdrawn", NOW_MS), lambda record, _: records.append(record))
    store.change("9", "risk", Change("given", NOW_MS, "desk"), lambda record, _: records.append(record))
    assert store.version() == 3
    assert reports[0].counts == {"given": 1}
    assert [(record.state, record.effective_ms) for record in records] == [("withdrawn", NOW_MS), ("given", NOW_MS)]
    assert len({record.pseudonym for record in records}) == 2
    assert allowed(store) == {"9"}


def test_a_refused_change_leaves_no_key_behind(store: ConsentStore, engine: Engine) -> None:
    with pytest.raises(ConsentError):
        store.change("1", "risk", Change("withdrawn", NOW_MS), no_log)
    with engine.begin() as connection:
        assert connection.execute(select(func.count()).select_from(subjects)).scalar() == 0


def test_an_empty_table_is_taken_over_as_such(store: ConsentStore) -> None:
    assert store.import_rows([], no_log).counts == {}
    assert store.allowed("risk", NOW).num_rows == 0
