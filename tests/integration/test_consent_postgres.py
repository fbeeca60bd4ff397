"""Consents out of PostgreSQL over ADBC: the same rows as from a file, no SQL from outside, no password.

A server of its own is started on loopback where Debian's is installed. PostgreSQL refuses to run as root; then it
runs as nobody.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from consortia_node.consent_import import Findings
from consortia_node.errors import SourceError
from consortia_node.sources.consent_postgres import read_postgres
from consortia_node.sources.consent_rows import rows_of

pytest.importorskip("adbc_driver_postgresql", reason="the PostgreSQL driver is not installed")
TABLE = """
CREATE SCHEMA bank;
CREATE TABLE bank.consents (subject text, purpose text, state text, effective_at timestamptz,
    valid_until timestamptz, notice text);
INSERT INTO bank.consents VALUES
    ('C-1', 'risk', 'given', '2024-01-01 08:00+08', NULL, 'notice@1'),
    ('C-2', 'risk', 'refused', '2024-01-02Z', '2026-05-04 03:02:01Z', 'notice@1');
CREATE TABLE more (subject text, purpose text, state text, effective_at text, valid_until text, notice text, x int);
"""


def binaries() -> Path | None:
    """Where initdb and postgres lie: on the path, or where Debian has them."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb", path=os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")]))
    return Path(found).parent if found else None


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a database with a table of consents."""
    where = binaries()
    if where is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    folder = tmp_path_factory.mktemp("postgres")
    as_server = [] if os.geteuid() else ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    if as_server:
        shutil.chown(folder, "nobody", "nogroup")
        for parent in [folder, *folder.parents][:-2]:
            parent.chmod(parent.stat().st_mode | 0o055)
        folder.chmod(0o700)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    made = subprocess.run(
        [*as_server, where / "initdb", "-D", folder / "data", "-U", "bank", "-A", "trust", "--no-sync"],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("PostgreSQL can't make a database here")
    options = f"-h 127.0.0.1 -p {port} -k {folder} -F"
    control = [*as_server, where / "pg_ctl", "-D", folder / "data", "-w"]
    subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], check=True, capture_output=True)
    try:
        address = f"postgresql://bank@127.0.0.1:{port}/postgres"
        subprocess.run(
            ["psql", "-qX", "-v", "ON_ERROR_STOP=1", address, "-c", TABLE], check=True, capture_output=True
        )
        yield address
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)


def test_a_table_gives_its_rows(database: str) -> None:
    findings = Findings()
    rows = rows_of(read_postgres(database, "bank.consents"), "bank.consents", findings)
    assert [(row.subject, row.state, row.effective_ms, row.valid_until_ms) for row in rows] == [
        ("C-1", "given", 1_704_067_200_000, None),
        ("C-2", "refused", 1_704_153_600_000, 1_777_863_721_000),
    ]
    assert findings.mistaken == 0


def test_a_table_that_is_not_there_or_has_more_columns_is_refused(database: str) -> None:
    with pytest.raises(SourceError, match="does not let it be read"):
        read_postgres(database, "bank.nothing")
    with pytest.raises(SourceError, match="columns must be exactly"):
        read_postgres(database, "more")


@pytest.mark.parametrize("table", ['x"; DROP TABLE consents; --', "a.b.c", "", "1x", "consents WHERE 1=1"])
def test_a_name_is_never_read_as_sql(table: str) -> None:
    with pytest.raises(SourceError, match="name must be"):
        read_postgres("postgresql://127.0.0.1:1/x", table)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://bank:secret@127.0.0.1/x",
        "postgresql://127.0.0.1/x?password=secret",
        "mysql://h/x",
        "postgresql://[",
    ],
)
def test_an_address_with_a_password_or_of_something_else_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(SourceError, match="no password in it") as refused:
        read_postgres(address, "consents")
    assert "secret" not in str(refused.value)


def test_a_server_that_is_not_there_is_refused() -> None:
    with pytest.raises(SourceError, match="does not let it be read"):
        read_postgres("postgresql://127.0.0.1:1/x", "consents")
