"""Key files: whole, private, and refused where they are not."""

from pathlib import Path

import pytest

from consortia_common import keyfiles
from consortia_common.errors import SettingsError
from consortia_crypto.keys import PrivateIdentity


@pytest.fixture(scope="module")
def identity() -> PrivateIdentity:
    return PrivateIdentity.generate("demo", "bank-a", "node", "node")


def test_an_identity_survives_its_file(tmp_path: Path, identity: PrivateIdentity):
    path = tmp_path / "identity.key"
    keyfiles.save_identity(path, identity)
    assert keyfiles.load_identity(path) == identity
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_public_identity_survives_its_file(tmp_path: Path, identity: PrivateIdentity):
    path = tmp_path / "identity.json"
    keyfiles.save_public_identity(path, identity.public)
    assert keyfiles.load_public_identity(path) == identity.public
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_reach_is_refused(tmp_path: Path, identity: PrivateIdentity, mode: int):
    path = tmp_path / "identity.key"
    keyfiles.save_identity(path, identity)
    path.chmod(mode)
    with pytest.raises(SettingsError, match="other users"):
        keyfiles.load_identity(path)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"\xff\x00", b'{"seeds":3}', b"x" * (keyfiles.MAX_FILE_BYTES + 1)]
)
def test_other_content_is_refused_without_showing_it(tmp_path: Path, data: bytes):
    path = tmp_path / "identity.key"
    keyfiles.write_file(path, data)
    with pytest.raises(SettingsError) as refused:
        keyfiles.load_identity(path)
    assert "seeds" not in str(refused.value)
    with pytest.raises(SettingsError):
        keyfiles.load_public_identity(path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"identity\.key"):
        keyfiles.load_identity(tmp_path / "identity.key")


def test_a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it(tmp_path: Path):
    path = tmp_path / "tls.pem"
    keyfiles.write_file(path, b"old")
    keyfiles.write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "tls.pem"
    keyfiles.write_file(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(SettingsError, match="No space left"):
        keyfiles.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_private(tmp_path: Path):
    folder = keyfiles.make_folder(tmp_path / "node")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert keyfiles.make_folder(folder) == folder


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="can't be made"):
        keyfiles.make_folder(tmp_path / "file" / "folder")
