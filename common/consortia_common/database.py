"""Opening the database of a node or of the coordinator: durable, several threads, always at the newest shape.

Trusted for: a transaction that has committed survives SIGKILL and a power cut; two threads that write take turns
and never fail on a lock they both hold half of. So on SQLite every transaction takes the write lock when it
begins; what only reads says so with ``reading`` and then runs beside a writer. Never open a second transaction
inside one: on SQLite it would wait for the first. The one exception to surviving a power cut is what says so with
``recoverable``, because whoever wrote it would write it again.

SQLite follows https://www.sqlite.org/wal.html with synchronous=FULL; the shape comes from Alembic, without a file
of settings.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import cast

from alembic import command, context
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from consortia_common.errors import SettingsError

BUSY_SECONDS = 15
"""How long a transaction waits for another one before it gives up."""

_MODE = "consortia_mode"
"""Of a connection's next transaction; FULL where nothing is said."""
_FULL, _NORMAL, _READING = "FULL", "NORMAL", "reading"
_SYNCHRONOUS = "consortia_synchronous"
_TURN = "consortia_turn"
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "temp_store=MEMORY")
_NAMING = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
}


def new_metadata() -> MetaData:
    """For the tables of one database: keys and indexes have names, so that a migration can change them."""
    return MetaData(naming_convention=_NAMING)


def open_at(where: str | Path, migrations: str) -> Engine:
    """The engine of the database ``where`` (a file's path or a database URL), upgraded to the newest revision.

    ``migrations`` names the Alembic folder as ``package:folder``. Raises SettingsError when the database can't be
    opened, is no database, or was made by a newer version of Consortia.
    """
    try:
        url = _url(where)
        _create_private(url)
        engine = create_engine(url, **_options(url))
    except (OSError, ArgumentError) as error:
        raise _refuse(f"can't be opened ({type(error).__name__})", _CHECK) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
        turns = _Turns()
        engine.dialect.do_begin = turns.begin  # type: ignore[method-assign]  # an event doubles the cost
        event.listen(engine, "checkin", turns.end)
    try:
        _upgrade(engine, migrations)
    except (CommandError, SQLAlchemyError) as error:
        engine.dispose()
        if isinstance(error, CommandError):
            raise _refuse("has a shape that this version of Consortia does not know", _NEWER) from error
        raise _refuse(f"can't be opened ({type(error).__name__})", _CHECK) from error
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that only reads, and therefore does not wait for whoever writes."""
    with engine.connect() as connection:
        connection.info[_MODE] = _READING
        yield connection


@contextmanager
def recoverable(engine: Engine) -> Iterator[Connection]:
    """A transaction that survives SIGKILL, but on SQLite a power cut only once a later one has committed."""
    with engine.connect() as connection:
        connection.info[_MODE] = _NORMAL
        with connection.begin():
            yield connection


def scrub(engine: Engine) -> None:
    """Let nothing that was erased linger in SQLite's write-ahead log, but for what somebody is reading now."""
    if engine.dialect.name == "sqlite":
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def migrate(metadata: MetaData) -> None:
    """What an Alembic ``env.py`` does here: bring the connection that ``open_at`` hands over up to date."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


def _url(where: str | Path) -> URL:
    if isinstance(where, str) and "://" in where:
        return make_url(where)
    return URL.create("sqlite", database=str(Path(where).absolute()))


def _options(url: URL) -> dict[str, object]:
    return {"connect_args": {"timeout": BUSY_SECONDS}} if url.get_backend_name() == "sqlite" else {}


def _create_private(url: URL) -> None:
    """Make a SQLite file that only its owner can read; its journal takes over the same mode."""
    if url.get_backend_name() == "sqlite" and url.database:
        os.close(os.open(url.database, os.O_CREAT | os.O_RDWR, 0o600))


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin in _begin, not where the driver guesses
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


class _Turns:
    """Lets the writers of one engine queue: SQLite itself would have them sleep and try again."""

    def __init__(self) -> None:
        self._turn = Lock()

    def begin(self, dbapi_connection: PoolProxiedConnection) -> None:
        connection = cast("sqlite3.Connection", dbapi_connection.driver_connection)
        info, execute = dbapi_connection.info, connection.execute
        mode = info.pop(_MODE, _FULL)
        if mode == _READING:
            execute("BEGIN")
            return
        if not info.get(_TURN) and self._turn.acquire(timeout=BUSY_SECONDS):
            info[_TURN] = True
        if info.get(_SYNCHRONOUS, _FULL) != mode:
            execute(f"PRAGMA synchronous={mode}")
            info[_SYNCHRONOUS] = mode
        execute("BEGIN IMMEDIATE")

    def end(self, _connection: object, record: ConnectionPoolEntry) -> None:
        record.info.pop(_MODE, None)
        if record.info.pop(_TURN, False):
            self._turn.release()


def _upgrade(engine: Engine, migrations: str) -> None:
    config = Config()
    config.set_main_option("script_location", migrations)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


_CHECK = "check its path, its owner, the free space, and that the file is a database"
_NEWER = "install the version of Consortia that used it last, or a newer one"


def _refuse(why: str, remedy: str) -> SettingsError:
    return SettingsError(f"the database {why}", blame="this machine or its settings", remedy=remedy)
