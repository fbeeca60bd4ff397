"""RFC 3161 timestamps over checkpoints, by an authority that OpenSSL plays here."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from consortia_client.cli.audit import audit
from consortia_common import audit_timestamps, keyfiles
from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder
from consortia_common.errors import SettingsError, TimestampError
from consortia_crypto.keys import PrivateIdentity

OPENSSL = shutil.which("openssl")
OWNER = PrivateIdentity.generate("lab", "bank-a", "node", "node")
CONFIG = """
[tsa]
default_tsa = settings
[settings]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
"""


def openssl(*arguments: str | Path, data: bytes = b"") -> bytes:
    assert OPENSSL is not None
    return subprocess.run([OPENSSL, *map(str, arguments)], input=data, check=True, capture_output=True).stdout


def _lacks_ts() -> bool:
    return (
        OPENSSL is None
        or subprocess.run([OPENSSL, "ts", "-help"], capture_output=True, check=False).returncode != 0
    )


pytest.importorskip("rfc3161_client", reason="the extra `timestamps` is not installed")
pytestmark = pytest.mark.skipif(_lacks_ts(), reason="there is no openssl with the command `ts`")


class Tsa:
    """An authority in a folder: a root, a certificate for time stamps, and `openssl ts -reply`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "ca.pem"
        folder.mkdir()
        (folder / "serial").write_text("01")
        (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", folder / "tsa.cnf")
        with (folder / "tsa.cnf").open("a") as file:
            file.write("[req]\ndistinguished_name = name\n[name]\n")
        openssl("req", "-x509", *key, "-keyout", folder / "ca.key", "-out", self.root, "-subj", "/CN=root",
                "-days", "2", "-extensions", "ca")  # fmt: skip
        openssl("req", *key, "-keyout", folder / "tsa.key", "-out", folder / "tsa.csr", "-subj", "/CN=clock")
        openssl("x509", "-req", "-in", folder / "tsa.csr", "-CA", self.root, "-CAkey", folder / "ca.key",
                "-CAcreateserial", "-extfile", folder / "tsa.cnf", "-extensions", "leaf", "-days", "2",
                "-out", folder / "tsa.pem")  # fmt: skip

    def __call__(self, request: bytes) -> bytes:
        (self.folder / "request").write_bytes(request)
        return openssl("ts", "-reply", "-config", self.folder / "tsa.cnf",
                       "-queryfile", self.folder / "request")  # fmt: skip

    @property
    def roots(self) -> audit_timestamps.Roots:
        return audit_timestamps.read_roots(self.root)


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Tsa:
    return Tsa(tmp_path_factory.mktemp("authority") / "tsa")


@pytest.fixture
def folder(tmp_path: Path) -> LogFolder:
    write(tmp_path / "log", 5)
    return LogFolder(tmp_path / "log")


def write(path: Path, entries: int) -> None:
    """Add entries and sign a checkpoint."""
    with AuditLog.open(path, OWNER, "bank-a", lambda: datetime.now(UTC)) as log:
        for _ in range(entries):
            log.append("peer.connected", peer="coordinator")
        log.checkpoint()


def verdicts(folder: LogFolder, tsa: Tsa) -> list[tuple[int, str]]:
    return [(one.size, str(one.verdict)) for one in audit_timestamps.check(folder, tsa.roots)]


def test_stamps_hold_while_the_log_goes_on(folder: LogFolder, tsa: Tsa) -> None:
    before = datetime.now(UTC)
    first = audit_timestamps.stamp(folder, tsa, tsa.roots)
    write(folder.path, 3)
    second = audit_timestamps.stamp(folder, tsa, tsa.roots)
    assert verdicts(folder, tsa) == [(first.size, "verified"), (second.size, "verified")]
    assert second.size > first.size
    assert abs((datetime.fromisoformat(first.time) - before).total_seconds()) < 60


def test_openssl_agrees(folder: LogFolder, tsa: Tsa) -> None:
    stamp = audit_timestamps.stamp(folder, tsa, tsa.roots)
    kept = folder.path / "timestamps" / stamp.name
    shown = openssl("ts", "-verify", "-in", f"{kept}.tsr", "-data", f"{kept}.note", "-CAfile", tsa.root)
    assert b"Verification: OK" in shown


def altered(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("change", "verdict", "cause"),
    [
        (lambda path: altered(path.with_suffix(".tsr")), "unverifiable", "does not hold"),
        (
            lambda path: path.with_suffix(".tsr").write_bytes(b"\x30\x03\x02\x01\x02"),
            "unverifiable",
            "does not hold",
        ),
        (lambda path: path.with_suffix(".tsr").unlink(), "unverifiable", "reply is missing"),
        (lambda path: path.write_bytes(path.read_bytes() + b"\n"), "tampered", "no checkpoint"),
        (
            lambda path: path.write_bytes(path.read_bytes().replace(b"bank-a", b"bank-b", 1)),
            "unverifiable",
            "not hold",
        ),
    ],
    ids=["reply", "garbage", "missing", "note", "other note"],
)
def test_what_was_altered_is_told(
    folder: LogFolder, tsa: Tsa, change: Callable[[Path], None], verdict: str, cause: str
) -> None:
    audit_timestamps.stamp(folder, tsa, tsa.roots)
    (note,) = (folder.path / "timestamps").glob("*.note")
    change(note)
    (found,) = audit_timestamps.check(folder, tsa.roots)
    assert found.verdict == verdict
    assert cause in found.cause


def test_a_stamp_of_another_history_is_told(folder: LogFolder, tsa: Tsa, tmp_path: Path) -> None:
    audit_timestamps.stamp(folder, tsa, tsa.roots)
    write(tmp_path / "rewritten", 9)
    other = LogFolder(tmp_path / "rewritten")
    shutil.copytree(folder.path / "timestamps", other.path / "timestamps")
    (found,) = audit_timestamps.check(other, tsa.roots)
    assert (found.verdict, "not those" in found.cause) == ("tampered", True)
    write(tmp_path / "shorter", 0)
    shorter = LogFolder(tmp_path / "shorter")
    shutil.copytree(folder.path / "timestamps", shorter.path / "timestamps")
    (found,) = audit_timestamps.check(shorter, tsa.roots)
    assert (found.verdict, "does not reach" in found.cause) == ("tampered", True)


def test_a_stamp_of_another_log_is_told(folder: LogFolder, tsa: Tsa) -> None:
    audit_timestamps.stamp(folder, tsa, tsa.roots)
    folder.identity.unlink()
    keyfiles.save_public_identity(folder.identity, PrivateIdentity.generate("lab", "bank-b", "node", "node").public)
    (found,) = audit_timestamps.check(folder, tsa.roots)
    assert (found.verdict, "another log" in found.cause) == ("tampered", True)


def test_a_stranger_is_not_believed_and_an_old_reply_is_refused(
    folder: LogFolder, tsa: Tsa, tmp_path: Path
) -> None:
    stranger = Tsa(tmp_path / "stranger")
    with pytest.raises(TimestampError, match="does not hold"):
        audit_timestamps.stamp(folder, stranger, tsa.roots)
    replies: list[bytes] = []
    audit_timestamps.stamp(folder, lambda request: replies.append(tsa(request)) or replies[0], tsa.roots)
    with pytest.raises(TimestampError, match="does not hold"):
        audit_timestamps.stamp(folder, lambda _: replies[0], tsa.roots)
    assert [one.verdict for one in audit_timestamps.check(folder, stranger.roots)] == ["unverifiable"]
    with pytest.raises(TimestampError, match="does not hold"):
        audit_timestamps.stamp(folder, lambda _: b"", tsa.roots)


@pytest.fixture
def url(tsa: Tsa) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            right = self.path == "/tsr" and self.headers["Content-Type"] == "application/timestamp-query"
            self.send_response(200 if right else 503)
            self.end_headers()
            if right:
                self.wfile.write(tsa(data))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/tsr"
        server.shutdown()
        thread.join()


def test_the_commands_stamp_and_verify(folder: LogFolder, tsa: Tsa, url: str) -> None:
    run = CliRunner().invoke
    log, roots = str(folder.path), str(tsa.root)
    assert "no timestamps" in run(audit, ["stamps", log, "--roots", roots]).output
    made = run(audit, ["stamp", log, "--url", url, "--roots", roots])
    assert (made.exit_code, "entries are stamped" in made.output) == (0, True)
    shown = run(audit, ["stamps", log, "--roots", roots])
    assert (shown.exit_code, "verified" in shown.output) == (0, True)
    (folder.path / "timestamps").glob("*.note").__next__().write_bytes(b"x")
    shown = run(audit, ["stamps", log, "--roots", roots, "--json"])
    assert (shown.exit_code, '"tampered"' in shown.output) == (1, True)
    assert run(audit, ["stamp", log, "--url", url + "x", "--roots", roots]).exit_code == 2


def test_an_authority_that_is_none_is_told(tmp_path: Path) -> None:
    for address in ("ftp://x/", "clock", "https://"):
        with pytest.raises(TimestampError, match="no address"):
            audit_timestamps.over_http(address)
    with pytest.raises(TimestampError, match="does not answer"):
        audit_timestamps.over_http("http://127.0.0.1:9/")(b"")
    (tmp_path / "roots").write_bytes(b"none")
    with pytest.raises(TimestampError, match="no certificates"):
        audit_timestamps.read_roots(tmp_path / "roots")
    with pytest.raises(SettingsError):
        audit_timestamps.read_roots(tmp_path / "nothing")
