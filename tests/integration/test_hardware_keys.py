"""Signing keys in a hardware module: SoftHSM2 stands for one, and everything else works as with keys in files."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from consortia_common import hardware, joining, keyfiles, pki
from consortia_common.audit_log import AuditLog
from consortia_common.audit_verify import verify_folder
from consortia_common.errors import KeyModuleError, SettingsError
from consortia_common.hardware import KeyUri
from consortia_coordinator import ca, config, network
from consortia_coordinator.registry import Registry
from consortia_coordinator.rotation import Rotation, load_root
from consortia_coordinator.store.database import open_database
from consortia_crypto.envelope import seal, unseal
from consortia_crypto.keys import PrivateIdentity
from tests.support.cli import consortia

MODULE = next(
    (
        path
        for path in map(Path, ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"))
        if path.exists()
    ),
    None,
)
needs_module = pytest.mark.skipif(
    MODULE is None or shutil.which("softhsm2-util") is None, reason="SoftHSM2 is not installed (Debian: softhsm2)"
)
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Token:
    """A token in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.pin = folder / "pin"
        keyfiles.write_file(self.pin, b"4711\n")

    def uri(self, key: str, label: str = "lab", pin: Path | None = None) -> str:
        return f"pkcs11:token={label};object={key}?module-path={MODULE}&pin-source=file:{pin or self.pin}"


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    made = ("--init-token", "--free", "--label", "lab", "--pin", "4711", "--so-pin", "0815")
    subprocess.run(["softhsm2-util", *made], check=True, capture_output=True)
    yield Token(folder)
    os.environ.pop("SOFTHSM2_CONF")
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before


@needs_module
def test_an_identity_signs_with_a_key_that_no_file_holds(token: Token, tmp_path: Path) -> None:
    done = consortia("user", "init", tmp_path / "olga", "--institution", "bank-a", "--name", "olga", "--role",
                     "officer", "--signing-key", token.uri("olga"))  # fmt: skip
    assert done.exit_code == 0, done.output
    olga = keyfiles.load_identity(tmp_path / "olga" / joining.IDENTITY_FILE)
    assert "ed25519" not in olga.seeds
    olga.public.verify("job", b"message", olga.sign("job", b"message"))
    olga.public.verify_ed25519("entry", b"message", olga.sign_ed25519("entry", b"message"))
    again = keyfiles.load_identity(tmp_path / "olga" / joining.IDENTITY_FILE)
    assert again.public == olga.public
    other = PrivateIdentity.generate("", "bank-b", "node", "node")
    place = {"purpose": "risk", "job": "job-1", "step": "epoch", "sequence": 0}
    assert unseal(seal(b"x", sender=other, recipient=olga.public, **place), sender=other.public, recipient=olga,
                  **place) == b"x"  # fmt: skip
    assert unseal(seal(b"x", sender=olga, recipient=other.public, **place), sender=olga.public, recipient=other,
                  **place) == b"x"  # fmt: skip


@needs_module
def test_a_log_signed_in_a_module_verifies(token: Token, tmp_path: Path) -> None:
    made = consortia("node", "init", tmp_path / "a", "--institution", "bank-a", "--signing-key", token.uri("node"))
    assert made.exit_code == 0, made.output
    identity = keyfiles.load_identity(tmp_path / "a" / "identity.key")
    with AuditLog.open(tmp_path / "a" / "log", identity, "bank-a", lambda: datetime.now(UTC)) as log:
        log.append("peer.refused", reason="a test")
    assert verify_folder(tmp_path / "a" / "log", identity.public.fingerprint).summary == "verified"


@needs_module
def test_a_network_whose_authority_is_in_a_module(token: Token, tmp_path: Path) -> None:
    folder = tmp_path / "coordinator"
    keys = ("--root-key", token.uri("root"), "--issuing-key", token.uri("issuing"))
    done = consortia("network", "init", folder, "--name", "lab", "--listen", "127.0.0.1:1", *keys)
    assert done.exit_code == 0, done.output
    assert b"PRIVATE KEY" not in (folder / "issuing.key").read_bytes() + (folder / "root" / "root.key").read_bytes()
    settings = config.load(folder / "coordinator.toml")
    bank, key = pki.Subject("lab", "bank-a", "node", "node"), pki.new_key()
    now = datetime.now(UTC)
    chain = ca.issue(network.load_authority(settings), key.public_key(), bank, now)
    assert pki.verify_leaf(chain, (folder / "ca.pem").read_bytes(), now) == bank
    engine = open_database(settings.database_file)
    rotation = Rotation(settings, Registry(engine))
    with pytest.raises(Exception, match="that key is the one in use"):
        rotation.reissue(folder / "root", now, key=token.uri("issuing"))
    rotation.reissue(folder / "root", now, key=token.uri("issuing-2"))
    rotation.begin(folder / "root", tmp_path / "new", now, key=token.uri("root-2"))
    engine.dispose()
    assert isinstance(load_root(tmp_path / "new").key, hardware.ModuleP256)
    chain = ca.issue(network.load_authority(settings), key.public_key(), bank, now + timedelta(minutes=1))
    assert pki.verify_leaf(chain, (folder / "ca.pem").read_bytes(), now + timedelta(minutes=1)) == bank


@needs_module
def test_a_key_is_made_once_and_never_leaves(token: Token) -> None:
    key = keyfiles.new_p256(token.uri("once"))
    assert keyfiles.new_p256(token.uri("once")).public_key() == key.public_key()
    for take in (key.private_numbers, key.private_bytes, lambda: key.exchange(ec.ECDH(), key.public_key())):
        with pytest.raises(KeyModuleError):
            take()  # type: ignore[operator]


@needs_module
def test_a_session_that_broke_is_opened_anew(token: Token) -> None:
    key = keyfiles.new_ed25519(token.uri("steady"))
    assert key is not None
    assert len(key.sign(b"before")) == 64
    key.session._open = Removed(key.session._open)
    assert key.sign(b"before") == key.sign(b"before")


class Removed:
    """A session whose token was taken out for a moment."""

    def __init__(self, session: Any) -> None:
        self.close = session.close

    def get_key(self, **_: object) -> None:
        raise RuntimeError  # as the library's DeviceRemoved is one


@needs_module
def test_what_is_not_there_is_said(token: Token, tmp_path: Path) -> None:
    open_pin = tmp_path / "open"
    keyfiles.write_file(open_pin, b"4711\n", keyfiles.PUBLIC)
    keyfiles.new_p256(token.uri("p256"))
    with pytest.raises(KeyModuleError, match="the key nobody of token lab can't be used"):
        hardware.open_p256(token.uri("nobody"), keyfiles.read_secret)
    with pytest.raises(KeyModuleError, match="a key of another kind"):
        hardware.open_ed25519(token.uri("p256"), keyfiles.read_secret)
    with pytest.raises(KeyModuleError, match="token elsewhere can't be used"):
        hardware.open_p256(token.uri("p256", label="elsewhere"), keyfiles.read_secret)
    lost = token.uri("p256", label="lost").replace(str(MODULE), "/nowhere/module.so")
    with pytest.raises(KeyModuleError, match="token lost can't be used"):
        hardware.open_p256(lost, keyfiles.read_secret)
    with pytest.raises(SettingsError, match="other users of this machine may read"):
        hardware.open_p256(token.uri("p256", label="other", pin=open_pin), keyfiles.read_secret)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("file:issuing.key", "does not begin with pkcs11:"),
        ("pkcs11:token=a;object=b?module-path=/x&pin-value=1234", "holds the PIN itself"),
        ("pkcs11:token=a;object=b?module-path=/x", "must name token, object"),
        ("pkcs11:token=a;object=?module-path=/x&pin-source=file:/p", "must name token, object"),
        ("pkcs11:token=a;object=b;serial=5?module-path=/x&pin-source=file:/p", "must name token, object"),
        ("pkcs11:token=a\n;object=b?module-path=/x&pin-source=file:/p", "what a URI can't"),
    ],
)
def test_a_uri_that_says_too_little_or_too_much_is_refused(text: str, why: str) -> None:
    with pytest.raises(KeyModuleError, match=why) as refused:
        KeyUri.parse(text)
    assert "1234" not in str(refused.value)


def test_a_uri_is_read(tmp_path: Path) -> None:
    text = "pkcs11:token=My%20token;object=issuing?module-path=/usr/lib/x.so&pin-source=file:/etc/pin"
    uri = KeyUri.parse(text)
    assert (uri.token, uri.object, uri.module, uri.pin_file) == (
        "My token", "issuing", "/usr/lib/x.so", Path("/etc/pin"),
    )  # fmt: skip


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(hardware, "import_module", missing)
    monkeypatch.setattr(hardware, "_sessions", {})
    text = "pkcs11:token=a;object=b?module-path=/x&pin-source=file:/p"
    keyfiles.write_file(tmp_path / "issuing.key", text.encode())
    with pytest.raises(KeyModuleError, match="python-pkcs11 is not installed") as refused:
        keyfiles.load_p256(tmp_path / "issuing.key")
    assert 'pip install "consortia[pkcs11]"' in refused.value.remedy
