"""Both databases: the migrated shape is the one in tables.py; durable, private, safe in several threads."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, MetaData, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from consortia_common.database import open_at, reading, recoverable
from consortia_common.errors import SettingsError
from consortia_coordinator.store import tables as coordinator_tables
from consortia_coordinator.store.database import open_database as open_coordinator
from consortia_node import migrations
from consortia_node.store import tables as node_tables
from consortia_node.store.database import open_database as open_node

BOTH = pytest.mark.parametrize(
    ("open_it", "metadata"),
    [(open_node, node_tables.metadata), (open_coordinator, coordinator_tables.metadata)],
    ids=["node", "coordinator"],
)
models = node_tables.models


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_node(tmp_path / "node.db")
    yield engine
    engine.dispose()


@BOTH
def test_the_migrated_shape_is_that_of_the_tables(
    open_it: Callable[[Path], Engine], metadata: MetaData, tmp_path: Path
) -> None:
    engine = open_it(tmp_path / "any.db")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


@BOTH
def test_opening_again_keeps_what_is_there(
    open_it: Callable[[Path], Engine], metadata: MetaData, tmp_path: Path
) -> None:
    for _ in range(2):
        engine = open_it(tmp_path / "any.db")
        with reading(engine) as connection:
            assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0001"
        engine.dispose()


def test_commits_reach_the_disk_and_only_the_owner_can_read(engine: Engine, tmp_path: Path) -> None:
    with engine.connect() as connection:
        pragmas = {name: connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_only_what_says_so_may_go_in_a_power_cut(engine: Engine) -> None:
    """Another transaction of the same connection is none the wiser, even if the one that said so asked nothing."""

    def synchronous(connection: Connection) -> object:
        return connection.exec_driver_sql("PRAGMA synchronous").scalar()

    for beginning in (recoverable, reading):
        with beginning(engine):
            pass
        with engine.begin() as connection:
            assert synchronous(connection) == 2
    with recoverable(engine) as connection:
        assert synchronous(connection) == 1


def test_foreign_keys_are_kept(engine: Engine) -> None:
    row = {"job_id": "no-such-job", "name": "key", "value": b"x"}
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(node_tables.job_values).values(row))


def test_threads_that_read_and_then_write_take_turns(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(models).values(name="m", document=b"0", origin="imported"))

    def count_up() -> None:
        for _ in range(10):
            with engine.begin() as connection:
                value = int(connection.scalar(select(models.c.document)) or b"")
                connection.execute(update(models).values(document=str(value + 1).encode()))

    threads = [threading.Thread(target=count_up) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as connection:
        assert connection.scalar(select(models.c.document)) == b"60"


def test_reading_does_not_wait_for_a_writer(engine: Engine) -> None:
    with engine.begin() as writer:
        writer.execute(insert(models).values(name="m", document=b"", origin="imported"))
        with reading(engine) as connection:
            assert connection.scalar(select(func.count()).select_from(models)) == 0
    with reading(engine) as connection:
        assert connection.scalar(select(func.count()).select_from(models)) == 1


def test_several_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    opened: list[Engine] = []
    threads = [threading.Thread(target=lambda: opened.append(open_node(tmp_path / "node.db"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    for engine in opened:
        engine.dispose()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    engine = open_node(tmp_path / "node.db")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(SettingsError, match="does not know"):
        open_node(tmp_path / "node.db")


@pytest.mark.parametrize("content", [b"this is no database" * 300, b"\x00" * 4096])
def test_a_file_that_is_no_database_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "node.db").write_bytes(content)
    with pytest.raises(SettingsError, match="can't be opened"):
        open_node(tmp_path / "node.db")


@pytest.mark.parametrize("where", ["no/such/folder/node.db", "nosuchkind://host/base"])
def test_a_place_where_no_database_can_be_is_refused(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="can't be opened"):
        open_node(where)


NEXT = """
from alembic import op
import sqlalchemy as sa

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    with op.batch_alter_table("models") as table:
        table.add_column(sa.Column("note", sa.Text(), nullable=False, server_default="{default}"))
    {more}
"""
"""A revision as a later version might bring it."""


def later(folder: Path, more: str = "") -> str:
    """The migrations of a later version, in ``folder``."""
    shutil.copytree(Path(migrations.__path__[0]), folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "r0002_next.py").write_text(NEXT.format(default="none", more=more))
    return str(folder)


def test_an_upgrade_keeps_what_is_there_and_can_t_be_undone(engine: Engine, tmp_path: Path) -> None:
    """The database takes the later shape at the start; the version before then refuses it, by name of the cause."""
    with engine.begin() as connection:
        connection.execute(insert(models).values(name="m", document=b"kept", origin="imported"))
    engine.dispose()
    upgraded = open_at(tmp_path / "node.db", later(tmp_path / "later"))
    with reading(upgraded) as connection:
        assert connection.execute(text("SELECT document, note FROM models")).one() == (b"kept", "none")
    upgraded.dispose()
    with pytest.raises(SettingsError, match="does not know") as refused:
        open_node(tmp_path / "node.db")
    assert "newer" in refused.value.remedy


def test_an_upgrade_that_fails_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(insert(models).values(name="m", document=b"kept", origin="imported"))
    engine.dispose()
    broken = later(tmp_path / "later", 'op.execute("INSERT INTO no_such_table VALUES (1)")')
    with pytest.raises(SettingsError, match="can't be opened"):
        open_at(tmp_path / "node.db", broken)
    again = open_node(tmp_path / "node.db")
    with reading(again) as connection:
        assert connection.scalar(select(models.c.document)) == b"kept"
    again.dispose()
