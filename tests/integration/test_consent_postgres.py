"""Consents out of PostgreSQL over ADBC: the same rows as from a file, no SQL from outside, no password."""

from collections.abc import Iterator

import pytest

from consortia_node.consent_import import Findings
from consortia_node.errors import SourceError
from consortia_node.sources.consent_postgres import read_postgres
from consortia_node.sources.consent_rows import rows_of
from tests.support import postgres

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


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a database with a table of consents."""
    with postgres.server(tmp_path_factory.mktemp("postgres"), TABLE) as address:
        yield address


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
