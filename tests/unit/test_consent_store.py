"""The store of consent: only what stands now allows, and nothing changes unlogged or backwards."""

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import Engine, func, select

from consortia_common import consent_tree
from consortia_node import spread
from consortia_node.consent import Change, ConsentRecord, Need, pseudonym
from consortia_node.consent_import import ConsentRow, Findings
from consortia_node.errors import ConsentError, StateError, StoreError
from consortia_node.store.consent_intake import Taken
from consortia_node.store.consents import ConsentStore
from consortia_node.store.database import open_database
from consortia_node.store.register import ordered_pairs
from consortia_node.store.tables import subjects
from tests.support.consent_notices import make_notice
from tests.support.subjects import ring_in

NOW_MS = 1_748_736_000_000
DAY_MS = 86_400_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "node.db")
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> ConsentStore:
    store = ConsentStore(engine, ring_in(tmp_path))
    store.add_notice(make_notice("risk", recipients=["bank-b"]), no_log)
    store.add_notice(make_notice("risk", recipients=["bank-b", "bank-c"], version=2), no_log)
    store.add_notice(make_notice("marketing", id="adverts"), no_log)
    return store


def no_log(*_: object) -> None:
    """The audit log of a test that does not look at it."""


def full_disk(*_: object) -> NoReturn:
    raise OSError("the log can't be written")


def row(
    subject: str,
    state: str = "given",
    days: int = -1,
    until_days: int | None = 1,
    purpose: str = "risk",
    notice: str = "notice@1",
) -> ConsentRow:
    until = None if until_days is None else NOW_MS + until_days * DAY_MS
    return ConsentRow(subject, purpose, state, NOW_MS + days * DAY_MS, until, notice)


def take(store: ConsentStore, *rows: ConsentRow) -> Taken:
    taken = store.import_rows(rows, Findings(), NOW_MS, no_log)
    assert taken is not None
    return taken


def changed(store: ConsentStore, *rows: ConsentRow) -> int:
    return take(store, *rows).findings.changed


def need(purpose: str = "risk", *recipients: str, columns: tuple[str, ...] = ("limit",)) -> Need:
    return Need(purpose, "clients", frozenset(columns), frozenset(recipients))


def allowed(store: ConsentStore, purpose: str = "risk", *recipients: str) -> set[str]:
    return set(store.allowed(need(purpose, *recipients), NOW_MS).numbers.to_pylist())


def change(store: ConsentStore, number: str, state: str, notice: str | None = None) -> list[ConsentRecord]:
    return store.change(number, "risk", Change(state, NOW_MS, notice), NOW_MS, no_log)


def test_only_consent_that_stands_now_allows(store: ConsentStore) -> None:
    taken = take(
        store,
        row("1"),
        row("2", "renewed", until_days=None),
        row("3", "refused"),
        row("4", "withdrawn"),
        row("5", days=1),
        row("6", days=-2, until_days=0),
        row("7", purpose="marketing", notice="adverts@1"),
        row("8", days=0),
    )
    assert taken.findings.states == {"given": 5, "renewed": 1, "refused": 1, "withdrawn": 1}
    assert taken.findings.changed == 8
    assert taken.in_force["risk"] == {"given": 4, "renewed": 1, "refused": 1, "withdrawn": 1}
    assert allowed(store) == {"1", "2", "8"}
    assert allowed(store, "marketing") == {"7"}


def test_consent_is_for_its_recipients_and_columns_only(store: ConsentStore) -> None:
    take(store, row("1"), row("2", notice="notice@2"))
    assert allowed(store, "risk", "bank-b") == {"1", "2"}
    assert allowed(store, "risk", "bank-b", "bank-c") == {"2"}
    assert allowed(store, "risk", "bank-d") == set()
    assert store.allowed(need(columns=("limit", "income")), NOW_MS).numbers.to_pylist() == []


def test_what_is_allowed_proves_which_record_was_relied_on(store: ConsentStore) -> None:
    taken = take(store, row("1"), row("2"))
    found = store.allowed(need(), NOW_MS)
    assert consent_tree.root(ordered_pairs(found.pairs)) == taken.root
    held = store.find("1").in_force["risk", "notice"]
    place = found.numbers.to_pylist().index("1")
    assert found.pairs[place].tobytes() == consent_tree.pair(held.record.pseudonym, held.commitment)


def test_two_notices_for_one_purpose_are_two_consents(store: ConsentStore) -> None:
    store.add_notice(make_notice("risk", id="other", recipients=["bank-c"]), no_log)
    take(store, row("1"), row("1", notice="other@1"))
    assert allowed(store, "risk", "bank-c") == {"1"}
    assert store.allowed(need(), NOW_MS).numbers.to_pylist() == ["1"]
    change(store, "1", "withdrawn")
    assert [record.state for record in store.find("1").records] == ["withdrawn", "withdrawn"]
    with pytest.raises(ConsentError, match="name the one"):
        change(store, "1", "given")
    change(store, "1", "given", "other@1")
    assert (allowed(store, "risk", "bank-c"), allowed(store, "risk", "bank-b")) == ({"1"}, set())


def test_each_subject_has_one_key_of_its_own_and_keeps_every_version(store: ConsentStore) -> None:
    take(store, row("1"), row("1", purpose="marketing", notice="adverts@1"), row("2"))
    take(store, row("1", "withdrawn", days=0))
    first, second = store.find("1"), store.find("2")
    assert first.key != second.key
    assert {record.pseudonym for record in first.records} == {pseudonym(first.key)}
    assert [held.record.state for held in first.consents["risk", "notice"]] == ["given", "withdrawn"]


def test_an_older_or_equal_table_does_not_bring_consent_back(store: ConsentStore) -> None:
    given = row("1")
    take(store, given)
    change(store, "1", "withdrawn")
    assert changed(store, given) == 0
    assert changed(store, row("1", days=0)) == 0
    assert allowed(store) == set()
    assert changed(store, row("1", days=1)) == 1


def test_an_invalidation_reaches_back_and_no_older_table_undoes_it(store: ConsentStore) -> None:
    take(store, row("1", days=-9))
    (invalid,) = store.change("1", "risk", Change("invalidated", NOW_MS - 5 * DAY_MS), NOW_MS, no_log)
    assert invalid.effective_ms == NOW_MS - 5 * DAY_MS
    assert changed(store, row("1", days=-3)) == 0
    assert allowed(store) == set()


def test_at_the_same_moment_the_stricter_record_wins(store: ConsentStore) -> None:
    take(store, row("1"))
    assert changed(store, row("1", "refused")) == 1
    assert changed(store, row("1")) == 0
    assert changed(store, row("1", "refused")) == 0


def test_a_withdrawal_dated_before_a_consent_to_come_still_stands(store: ConsentStore) -> None:
    later = row("1", days=1, until_days=9)
    take(store, later)
    change(store, "1", "withdrawn")
    assert changed(store, later) == 0
    assert [record.state for record in store.find("1").records] == ["withdrawn"]


def test_the_clock_ends_what_is_over_once(store: ConsentStore) -> None:
    take(store, row("1"), row("2", "requested"), row("3", until_days=None), row("4", "withdrawn"))
    assert store.run_out(NOW_MS, no_log) is None
    taken = store.run_out(NOW_MS + DAY_MS, no_log)
    assert taken is not None
    assert taken.in_force["risk"] == {"expired": 1, "lapsed": 1, "given": 1, "withdrawn": 1}
    assert store.find("1").records[0].effective_ms == NOW_MS + DAY_MS
    assert store.run_out(NOW_MS + DAY_MS, no_log) is None


def test_nothing_changes_unless_it_is_logged(store: ConsentStore) -> None:
    take(store, row("1"))
    version = store.version()
    with pytest.raises(OSError, match="log"):
        store.import_rows([row("2")], Findings(), NOW_MS, full_disk)
    with pytest.raises(OSError, match="log"):
        store.change("1", "risk", Change("withdrawn", NOW_MS), NOW_MS, full_disk)
    with pytest.raises(OSError, match="log"):
        store.run_out(NOW_MS + DAY_MS, full_disk)
    assert (allowed(store), store.version()) == ({"1"}, version)
    with pytest.raises(StoreError):
        store.find("2")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (row("2", notice="unknown@1"), "row 2 cites a notice"),
        (row("2", notice="adverts@1"), "row 2 cites a notice"),
        (row("1", "refused"), "row 2 repeats"),
        (row("9", "lapsed", days=0), "row 2 has a consent that is given become lapsed"),
    ],
)
def test_a_mistake_takes_nothing_over_and_a_dry_run_tells_it(
    store: ConsentStore, wrong: ConsentRow, why: str
) -> None:
    take(store, row("9"))
    version = store.version()
    for run in (
        lambda found: store.import_rows([row("1"), wrong], found, NOW_MS, full_disk),
        lambda found: store.examine([row("1"), wrong], found),
    ):
        findings = Findings()
        run(findings)
        assert findings.mistakes[0].startswith(why)
    assert (allowed(store), store.version()) == ({"9"}, version)


def test_a_dry_run_counts_by_transition_and_changes_nothing(store: ConsentStore) -> None:
    take(store, row("1"), row("2"), row("3"))
    rows = [row("1"), row("2", "withdrawn", days=0), row("3", days=-9), row("4")]
    findings = store.examine(rows, Findings())
    assert findings.transitions == {"unchanged": 1, "given → withdrawn": 1, "older": 1, "new → given": 1}
    assert findings.changed == 2
    assert allowed(store) == {"1", "2", "3"}
    assert take(store, *rows).findings.transitions == findings.transitions


def test_every_change_is_counted_and_reported_by_pseudonym(store: ConsentStore) -> None:
    records: list[ConsentRecord] = []
    assert store.version() == 0
    take(store, row("1"))
    for number, to in (("1", Change("withdrawn", NOW_MS)), ("9", Change("given", NOW_MS, "notice@1"))):
        store.change(number, "risk", to, NOW_MS, lambda record, _: records.append(record))
    assert store.version() == 3
    assert [(record.state, record.effective_ms) for record in records] == [("withdrawn", NOW_MS), ("given", NOW_MS)]
    assert len({record.pseudonym for record in records}) == 2
    assert allowed(store) == {"9"}


def test_a_refused_change_leaves_no_key_behind(store: ConsentStore, engine: Engine) -> None:
    for to in (Change("withdrawn", NOW_MS), Change("given", NOW_MS), Change("given", NOW_MS, "unknown@1")):
        with pytest.raises(ConsentError):
            store.change("1", "risk", to, NOW_MS, no_log)
    with engine.begin() as connection:
        assert connection.execute(select(func.count()).select_from(subjects)).scalar() == 0


def test_a_state_that_can_t_follow_is_refused(store: ConsentStore) -> None:
    take(store, row("1"))
    with pytest.raises(StateError):
        change(store, "1", "lapsed")


def test_a_notice_is_never_altered(store: ConsentStore) -> None:
    store.add_notice(make_notice("risk", recipients=["bank-b"]), full_disk)
    with pytest.raises(ConsentError, match="another notice"):
        store.add_notice(make_notice("risk", recipients=["bank-z"]), no_log)


def test_an_empty_table_is_taken_over_as_such(store: ConsentStore) -> None:
    assert changed(store) == 0
    assert allowed(store) == set()


def test_another_store_and_several_processes_see_the_same(
    store: ConsentStore, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "PAYS_FROM_ROWS", 1)
    take(store, *(row(str(number), "given" if number % 3 else "refused") for number in range(200)))
    expected = {str(number) for number in range(200) if number % 3}
    assert allowed(store) == expected
    assert allowed(ConsentStore(engine, ring_in(tmp_path))) == expected
    change(store, "1", "withdrawn")
    assert allowed(ConsentStore(engine, ring_in(tmp_path))) == allowed(store) == expected - {"1"}
