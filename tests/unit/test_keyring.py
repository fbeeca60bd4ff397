"""The file of the customers' keys' keys: written before it is relied on, destroyed when it is not needed."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from consortia_common import keyfiles
from consortia_common.errors import SettingsError
from consortia_node.errors import StoreError
from consortia_node.keyring import CACHE_TAG, Keyring
from tests.support.subjects import ring_in


def file_in(folder: Path) -> Path:
    return folder / "unbacked" / "subjects.key"


def test_a_first_key_is_made_where_none_is_needed_yet(tmp_path: Path) -> None:
    ring = ring_in(tmp_path)
    assert [key.id for key in ring_in(tmp_path).keys] == [ring.newest.id]
    assert stat.S_IMODE(file_in(tmp_path).stat().st_mode) == 0o600
    assert not ring.is_rolling


def test_a_missing_file_is_refused_where_it_is_needed(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="it is missing"):
        Keyring.open(file_in(tmp_path), lambda: True)
    assert not file_in(tmp_path).exists()


def test_an_empty_file_begins_anew(tmp_path: Path) -> None:
    lost = ring_in(tmp_path).newest
    file_in(tmp_path).write_bytes(b"")
    assert Keyring.open(file_in(tmp_path), lambda: True).newest.id != lost.id


@pytest.mark.parametrize(
    "content", [b"x", b"{}", b'{"keys":[],"v":1}', b'{"keys":["00"],"v":1}', b'{"keys":7,"v":1}']
)
def test_a_file_without_keys_is_refused(tmp_path: Path, content: bytes) -> None:
    keyfiles.write_file(tmp_path / "keys", content)
    with pytest.raises(StoreError, match="does not hold keys"):
        Keyring.open(tmp_path / "keys", lambda: False)


def test_keys_that_others_may_read_are_refused(tmp_path: Path) -> None:
    ring_in(tmp_path)
    file_in(tmp_path).chmod(0o644)
    with pytest.raises(SettingsError):
        ring_in(tmp_path)


def test_while_rolling_old_and_new_open_and_afterwards_only_the_new(tmp_path: Path) -> None:
    ring = ring_in(tmp_path)
    old = ring.newest
    ring.begin_roll()
    again = ring_in(tmp_path)
    assert (again.is_rolling, again.find(old.id), again.newest.id) == (True, old, ring.newest.id)
    ring.end_roll()
    assert ring.find(old.id) is None
    assert [key.id for key in ring_in(tmp_path).keys] == [ring.newest.id]


def test_the_bytes_of_an_old_key_are_overwritten(tmp_path: Path) -> None:
    ring = ring_in(tmp_path)
    old = ring.newest.key.hex().encode()
    os.link(file_in(tmp_path), tmp_path / "the same blocks")
    ring.begin_roll()
    assert not (tmp_path / "the same blocks").read_bytes().strip(b"\0")
    os.link(file_in(tmp_path), tmp_path / "the blocks of both")
    assert old in (tmp_path / "the blocks of both").read_bytes()
    ring.end_roll()
    assert not (tmp_path / "the blocks of both").read_bytes().strip(b"\0")
    assert old not in file_in(tmp_path).read_bytes()


def test_what_a_crash_left_of_writing_the_file_is_removed(tmp_path: Path) -> None:
    ring_in(tmp_path)
    left = file_in(tmp_path).with_name(".subjects.key.0123")
    left.write_bytes(b"an old key")
    ring_in(tmp_path)
    assert not left.exists()


def test_backup_programs_that_honour_the_mark_leave_the_keys_out(tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    ring_in(node)
    (node / "node.db").write_bytes(b"")
    subprocess.run(
        ["tar", "--exclude-caches", "-cf", tmp_path / "b.tar", "-C", tmp_path, "node"],
        check=True,
        capture_output=True,
    )
    shown = subprocess.run(["tar", "-tf", tmp_path / "b.tar"], check=True, capture_output=True, text=True).stdout
    assert "node/node.db" in shown
    assert CACHE_TAG in shown
    assert "subjects.key" not in shown


def test_a_folder_that_was_there_is_not_marked(tmp_path: Path) -> None:
    Keyring.open(tmp_path / "keys", lambda: False)
    assert not (tmp_path / CACHE_TAG).exists()
