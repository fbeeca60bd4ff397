"""Exports, and the verifier that goes with them, on a Python with nothing installed."""

import json
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from consortia_client.cli.audit import audit
from consortia_common import audit_standalone
from consortia_common.audit_export import export_zip
from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import frame
from consortia_common.errors import LogStorageError
from consortia_crypto.audit.checkpoint import Checkpoint
from consortia_crypto.audit.note import Note, NoteSignature
from consortia_crypto.audit.notekeys import KeyKind, SigningKey
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
WITNESS = SigningKey.generate("consortia.demo/bank-b/witness", KeyKind.ED25519_COSIGNATURE)
QUANTUM = SigningKey.generate("consortia.demo/bank-c/witness", KeyKind.MLDSA44)
VERIFIER = Path(audit_standalone.__file__).parent / "verify.py"
ENTRIES = 270


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A node's folder: a log with a batch, single entries, a document, a cosigned checkpoint, and a year before."""
    folder = tmp_path_factory.mktemp("node")
    now = datetime(2025, 12, 31, tzinfo=UTC)
    with AuditLog.open(folder / "log", OWNER, "bank-a", lambda: now) as log:
        log.append("peer.connected", peer="bank-b")
        now = datetime(2026, 1, 1, tzinfo=UTC)
        log.append_many([("peer.connected", {"peer": f"bank-{number}"}) for number in range(ENTRIES - 2)])
        log.append("job.decided", job="j", decision="refuse", kind="train", payload_commit=log.attach(b"{}"))
    note = Note.parse((folder / "log" / "checkpoint").read_bytes())
    checkpoint = Checkpoint.parse(note.text)
    cosigned = folder / "log" / "cosigned"
    cosigned.mkdir()
    signed = note.with_signatures(checkpoint.sign(key, 1_800_000_000) for key in (WITNESS, QUANTUM))
    (cosigned / "checkpoint").write_bytes(signed.raw)
    return folder


@pytest.fixture(scope="module")
def archive(node, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "log.zip"
    assert export_zip([node], out) == ENTRIES + 2
    return out


@pytest.fixture
def unpacked(archive, tmp_path):
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def verify(*arguments):
    """Run verify.py on a bare Python; exit status and verdicts."""
    command = [sys.executable, "-I", "-S", "-W", "error", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def policy(unpacked, quorum, name="policy.txt"):
    lines = [line for line in (unpacked / "policy.txt").read_text().splitlines() if line.startswith("log ")]
    lines += [f"witness b {WITNESS.verifier.text}", f"witness c {QUANTUM.verifier.text}", "group all all b c"]
    (unpacked / name).write_text("\n".join([*lines, f"quorum {quorum}", ""]))
    return unpacked / name


def test_the_export_verifies_as_a_file_and_unpacked(archive, unpacked):
    for arguments in ([VERIFIER, archive], [unpacked / "verify.py"], [VERIFIER, unpacked]):
        code, said = verify(*arguments)
        assert (code, said.count(": verified: ")) == (0, 2), said
        assert "logs/bank-a: verified" in said
    assert f"{ENTRIES} entries, 1 documents, 0 signed confirmations, 1 proofs" in said
    assert OWNER.public.fingerprint in said


def test_it_has_what_it_must_and_nothing_secret(archive):
    with zipfile.ZipFile(archive) as opened:
        names = set(opened.namelist())
    assert {"verify.py", "policy.txt", "members.txt"} <= names
    log = {name.removeprefix("logs/bank-a/") for name in names if name.startswith("logs/bank-a/")}
    assert {"identity.json", "head", "checkpoint", "vkeys.json", "tile/0/000", "tile/entries/000"} <= log
    assert "years/2025/checkpoint" in log
    assert {"log.keys", "lock", "tip"} & log == set()
    assert [name for name in names if name.startswith("proofs/")] == [f"proofs/bank-a/{ENTRIES - 1}.tlog-proof"]


def test_the_command_verifies_the_same_file(archive):
    result = CliRunner().invoke(audit, ["verify", str(archive), "--json"])
    (report,) = json.loads(result.stdout)["logs"]
    assert (result.exit_code, report["verdict"], report["checkpoint"]) == (0, "verified", ENTRIES)


def test_the_verifier_can_be_read_in_one_sitting():
    source = VERIFIER.read_text()
    assert len(source.splitlines()) < 400
    modules = {
        line.split()[1].partition(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))
    }
    assert modules <= sys.stdlib_module_names


def test_json_and_usage(archive, unpacked, tmp_path):
    _, said = verify(VERIFIER, archive, "--json")
    assert [item["verdict"] for item in json.loads(said)] == ["verified"] * 2
    for arguments in (["--nonsense"], [tmp_path / "nowhere"], [archive, "--members", tmp_path / "nowhere"]):
        assert verify(VERIFIER, *arguments)[0] == 64
    (tmp_path / "no.zip").write_bytes(b"not a zip file")
    assert verify(VERIFIER, tmp_path / "no.zip")[0] == 64


def test_members_say_whose_log_it_must_be(unpacked, tmp_path):
    members = tmp_path / "members.txt"
    for text, code in ((f"# known\nbank-a {OWNER.public.fingerprint}\n", 0), ("bank-a " + "0" * 64, 2), ("", 2)):
        members.write_text(text)
        assert verify(VERIFIER, unpacked, "--members", members)[0] == code, text


def test_the_policy_is_judged(unpacked):
    for quorum, code, word in (("b", 0, ""), ("c", 2, "ML-DSA-44"), ("all", 2, "ML-DSA-44"), ("none", 0, "")):
        found, said = verify(VERIFIER, unpacked, "--policy", policy(unpacked, quorum, "asked.txt"))
        assert (found, word in said) == (code, True), said
    shutil.rmtree(unpacked / "logs" / "bank-a" / "cosigned")
    assert verify(VERIFIER, unpacked, "--policy", policy(unpacked, "b", "asked.txt"))[0] == 2


def harmed(unpacked, name, change):
    path = unpacked / name
    data = path.read_bytes()
    changed = change(data)
    path.unlink() if changed is None else path.write_bytes(changed)
    result = verify(VERIFIER, unpacked)
    path.write_bytes(data)
    return result


def flip(at):
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


LOG = "logs/bank-a/"


@pytest.mark.parametrize(
    "name",
    [
        "identity.json",
        "head",
        "checkpoint",
        "vkeys.json",
        "segments/000000000000.log",
        "tile/0/000",
        "tile/entries/001.p/14",
        "years/2025/head",
        "cosigned/checkpoint",
    ],
)
def test_a_changed_bit_is_found(unpacked, name):
    size = (unpacked / LOG / name).stat().st_size
    places = (45, size // 2, size // 3) if name == "segments/000000000000.log" else (45,)
    for at in places:
        assert harmed(unpacked, LOG + name, flip(at))[0] in (1, 2), at
    assert harmed(unpacked, LOG + name, lambda data: data[: len(data) // 2])[0] in (1, 2)


def test_a_changed_entry_is_named_even_if_its_checksum_is_mended(unpacked):
    def change(data):
        length = int.from_bytes(data[:4], "little")
        return (
            frame(data[8 : 8 + length].replace(b"2025", b"2024").replace(b"cut_bytes", b"cut_bytex"))
            + data[8 + length :]
        )

    code, said = harmed(unpacked, LOG + "segments/000000000000.log", change)
    assert (code, "entry 0" in said) == (1, True)


def test_what_is_missing_is_unverifiable_not_tampered(unpacked):
    for name in ("checkpoint", "vkeys.json", "head", "tile/0/000"):
        assert harmed(unpacked, LOG + name, lambda _: None)[0] == 2, name


def test_a_signature_has_one_spelling_and_one_length(unpacked):
    def with_val(change):
        def harm(data):
            value = json.loads(data)
            value["sig"]["val"] = change(value["sig"]["val"])
            return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

        return harm

    for change in (str.upper, lambda val: val + "00", lambda val: val[:-2], lambda val: val[:64] + " " + val[64:]):
        assert harmed(unpacked, LOG + "head", with_val(change))[0] == 1


def test_a_cosignature_counts_only_whole_and_with_a_time(unpacked):
    path, asked = unpacked / LOG / "cosigned" / "checkpoint", policy(unpacked, "b", "asked.txt")
    bare = Note.parse((unpacked / LOG / "checkpoint").read_bytes())
    checkpoint = Checkpoint.parse(bare.text)
    line = checkpoint.sign(WITNESS, 1_800_000_000)
    for value, code in (
        (line.value, 0),
        (checkpoint.sign(WITNESS, 0).value, 2),
        (line.value[:8] + b"x" + line.value[8:], 1),
        (line.value[1:], 1),
    ):
        path.write_bytes(bare.with_signatures([NoteSignature(line.name, line.key_id, value)]).raw)
        assert verify(VERIFIER, unpacked, "--policy", asked)[0] == code, value


def test_a_year_names_the_end_of_the_one_before(unpacked, tmp_path):
    with AuditLog.open(tmp_path / "fork", OWNER, "bank-a", lambda: datetime(2025, 12, 31, tzinfo=UTC)) as log:
        log.append("peer.connected", peer="bank-c")
    year = unpacked / LOG / "years" / "2025"
    year.rename(unpacked / "kept")
    code, said = verify(VERIFIER, unpacked)
    assert (code, "the year before" in said) == (2, True)
    log_copy = {path.relative_to(tmp_path / "fork") for path in (tmp_path / "fork").rglob("*") if path.is_file()}
    for name in log_copy - {Path("log.keys"), Path("lock"), Path("tip")}:
        (year / name).parent.mkdir(parents=True, exist_ok=True)
        (year / name).write_bytes((tmp_path / "fork" / name).read_bytes())
    code, said = verify(VERIFIER, unpacked)
    assert (code, "another end of the year before" in said) == (1, True)


@pytest.mark.parametrize("left", [b"", b"\0" * 200])
def test_a_head_that_a_power_cut_emptied_is_unverifiable_and_what_is_tampered_stays_so(unpacked, left):
    code, said = harmed(unpacked, LOG + "head", lambda _: left)
    assert (code, "power cut" in said) == (2, True)
    (unpacked / LOG / "head").write_bytes(left)
    for name, at in (("segments/000000000000.log", 45), ("tile/0/000", 45)):
        assert harmed(unpacked, LOG + name, flip(at))[0] == 1


def test_a_false_proof_or_document_is_found(unpacked):
    (proof,) = (unpacked / "proofs" / "bank-a").iterdir()
    for change in (flip(60), lambda data: data.replace(b"index 2", b"index 1"), lambda data: data[:50]):
        assert harmed(unpacked, str(proof.relative_to(unpacked)), change)[0] == 1
    (document,) = (unpacked / LOG / "documents").iterdir()
    assert harmed(unpacked, str(document.relative_to(unpacked)), lambda _: b"[]")[0] == 1


def test_nothing_is_written_over_and_nothing_half_done_stays(node, archive, tmp_path):
    with pytest.raises(LogStorageError, match="exists"):
        export_zip([node], archive)
    broken = shutil.copytree(node, tmp_path / "broken")
    (broken / "log" / "head").write_bytes(b"{}")
    with pytest.raises(LogStorageError, match="head"):
        export_zip([broken], tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def test_the_command_line_makes_a_file_or_a_folder(node, tmp_path):
    for out in ("one.zip", "copy"):
        result = CliRunner().invoke(audit, ["export", "--from", str(node), "--out", str(tmp_path / out), "--json"])
        assert (result.exit_code, json.loads(result.stdout)["entries"]) == (0, ENTRIES + 2), result.output
    result = CliRunner().invoke(audit, ["export", *["--from", str(node)] * 2, "--out", str(tmp_path / "other")])
    assert result.exit_code == 64
