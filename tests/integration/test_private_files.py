"""What another user of the machine could read, and what a thief finds in a copy of a node's folder after a job."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from consortia_client.cli import consent
from consortia_common import keyfiles
from consortia_common.content import Content
from consortia_crypto.sum.member import Member
from consortia_node.epochs import secrets_of
from consortia_node.sources import duckdb_engine
from consortia_node.store.jobs import JobStore
from consortia_node.store.sums import SumStore
from tests.support.consortium import build
from tests.support.hostile import Deal, Hostile, hostile
from tests.support.specs import BANKS, spec

PUBLIC = {"ca.pem", "tls.pem", "root.pem", "issuing.pem", "coordinator.json", "identity.json", "witness.json"}
"""Files that anybody may read."""
DATA = {"clients.parquet", "clients_test.parquet", "consents.parquet"}
"""Put there by the bank itself."""


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    usual = os.umask(0o022)  # the most generous of the usual ones
    try:
        with hostile(build(tmp_path_factory.mktemp("private"))) as made:
            yield made
    finally:
        os.umask(usual)


@pytest.fixture(scope="module")
def under_way(seat: Hostile) -> Deal:
    """A job of which keys, rows and results are on disk at this moment."""
    deal = seat.begun(spec("train"))
    seat.round(deal, "prepared", "query.prepare").until("upload")
    return deal


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_no_file_but_certificates_and_public_keys_is_readable_by_others(seat: Hostile, under_way: Deal) -> None:
    files = [path for path in seat.root.rglob("*") if path.is_file() and path.parent.name != "peers"]
    kinds = {path.name for path in files}
    assert {"identity.key", "tls.key", "node.db", "node.db-wal", "head", "profile.toml", "root.key"} <= kinds
    open_ones = {path.name for path in files if mode(path) & 0o077}
    assert open_ones <= PUBLIC | DATA


def test_no_folder_lets_others_in(seat: Hostile, under_way: Deal) -> None:
    folders = [path for path in seat.root.rglob("*") if path.is_dir()]
    assert seat.root / "bank-a" / "work" / under_way.job_id in folders
    assert [path for path in folders if mode(path) & 0o077] == []


def test_the_work_of_a_job_is_gone_with_it(seat: Hostile) -> None:
    """Its keys open what the coordinator may have kept, so no file may hold them, nor what is left of a journal."""
    deal = seat.begun(spec("statistics"))
    made = seat.round(deal, "table", "query.tabulate").until("upload")
    bank = seat.banks["bank-c"]
    with bank.tools.engine.connect() as connection:
        keys = secrets_of(JobStore(connection).values(deal.job_id), deal.job_id)
        stored = SumStore(connection).get(deal.job_id, "table", 0)
    secrets = [keys.group_key, keys.round_seed, Member.from_bytes(stored.state, made.policy, keys).record.secret]
    summand = (bank.tools.settings.folder / "work" / deal.job_id / "sums" / "table.0.summand").read_bytes()
    assert all(len(secret) == 32 for secret in secrets)
    for secret in (*secrets, summand):
        assert found(seat.root / "bank-c", [secret])
    for step in (made.sign, made.reveal, made.opened):
        step()
    seat.concluded(deal)
    seat.everyone(deal, "close", Content(config={"outcome": "finished"}))
    for name in BANKS:
        assert not found(seat.root / name, [*secrets, summand])
        assert not (seat.root / name / "work" / deal.job_id).exists()


def found(folder: Path, pieces: list[bytes]) -> list[Path]:
    """The files that hold any of ``pieces``."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(piece in path.read_bytes() for piece in pieces)]


def test_what_a_running_process_makes_is_its_users_alone(tmp_path: Path) -> None:
    usual = os.umask(0o022)
    try:
        keyfiles.keep_to_oneself()
        (tmp_path / "by-some-library").write_text("rows")
        assert mode(tmp_path / "by-some-library") == 0o600
    finally:
        os.umask(usual)


def test_the_folders_above_a_private_one_are_private_too(tmp_path: Path) -> None:
    keyfiles.make_folder(tmp_path / "results" / "job-1")
    assert mode(tmp_path / "results") == mode(tmp_path / "results" / "job-1") == 0o700


def test_rows_that_do_not_fit_memory_go_to_the_jobs_own_folder(tmp_path: Path) -> None:
    """By itself DuckDB would put them, readable, wherever the node was started."""
    for spill, expected in ((tmp_path, str(tmp_path)), (None, "")):
        with duckdb_engine._connected(spill) as engine:
            assert told(engine) == expected


def told(engine: duckdb.DuckDBPyConnection) -> str:
    row = engine.execute("SELECT current_setting('temp_directory')").fetchone()
    return str(row[0]) if row else ""


def test_a_customers_number_can_be_kept_out_of_the_process_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, str]] = []
    monkeypatch.setattr(consent, "_set", lambda *_, **values: asked.append(values))
    config = tmp_path / "node.toml"
    config.write_text("")
    arguments = ["withdraw", "-", "--purpose", "credit-risk-model", "--config", str(config)]
    ran = CliRunner().invoke(consent.consent, arguments, input="C-00017\n")
    assert ran.exit_code == 0, ran.output
    assert asked[0]["subject"] == "C-00017"
