"""``consortia audit``: exit codes, what a person and a program read, and where the key came from."""

import json
import shutil
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from consortia_client.cli.audit import audit
from consortia_common.audit_log import AuditLog
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
FINGERPRINT = OWNER.public.fingerprint


@pytest.fixture
def node(tmp_path):
    """A node's folder with a log in it."""
    with AuditLog.open(tmp_path / "node" / "log", OWNER, "bank-a", lambda: datetime(2026, 1, 1, tzinfo=UTC)) as log:
        log.append("peer.connected", peer="bank-b")
    return tmp_path / "node"


def run(*arguments):
    return CliRunner().invoke(audit, [str(argument) for argument in arguments])


def damaged(node):
    copy = node.parent / "damaged"
    shutil.copytree(node / "log", copy)
    segment = copy / "segments" / "000000000000.log"
    data = bytearray(segment.read_bytes())
    data[-40] ^= 1
    segment.write_bytes(data)
    return copy


def uncovered(tmp_path):
    with AuditLog.open(tmp_path / "open", OWNER, "bank-a", lambda: datetime(2026, 1, 1, tzinfo=UTC)) as log:
        log.append("access.granted", job="j", purpose="p", agreement="a@1", dataset="d", columns=["c"])
    return tmp_path / "open"


def test_exit_codes_tell_the_verdict(node, tmp_path):
    (tmp_path / "empty").mkdir()
    assert run("verify", node).exit_code == 0
    assert run("verify", damaged(node)).exit_code == 1
    assert run("verify", uncovered(tmp_path)).exit_code == 1
    assert run("verify", tmp_path / "empty").exit_code == 2
    assert run("verify", node, tmp_path / "empty").exit_code == 2
    assert run("verify", node, tmp_path / "empty", tmp_path / "damaged").exit_code == 1


@pytest.mark.parametrize("arguments", [[], ["nowhere"], ["--unknown"], [".", "--members", "nowhere"]])
def test_a_wrong_command_exits_with_64(arguments):
    assert run("verify", *arguments).exit_code == 64


def test_help_is_help():
    result = run("verify", "--help")
    assert result.exit_code == 0
    assert "--fingerprint" in result.output


def test_a_person_reads_where_and_why(node):
    result = run("verify", damaged(node))
    assert "✗ bank-a: tampered" in result.output
    assert "tampered at entry 1" in result.output
    assert "1 intact" in result.output


def test_it_is_said_when_the_key_was_taken_from_the_folder(node):
    assert "taken from the log's own folder" in run("verify", node).output
    assert "taken from" not in run("verify", node, "--fingerprint", FINGERPRINT).output
    assert run("verify", node, "--fingerprint", "0" * 64, "--fingerprint", FINGERPRINT).exit_code == 0


def test_another_fingerprint_than_expected_is_unverifiable(node):
    result = run("verify", node, "--fingerprint", "0" * 64)
    assert result.exit_code == 2
    assert "another identity" in result.output


def test_members_are_looked_up_by_institution(node, tmp_path):
    members = tmp_path / "members.txt"
    for text, code in [
        (f"# owners\nbank-b {'0' * 64}\nbank-a {FINGERPRINT}\n", 0),
        (f"bank-b {FINGERPRINT}\n", 2),
        ("", 2),
        ("bank-a\n", 64),
        ("\xff\xfe\n", 64),
    ]:
        members.write_bytes(text.encode("latin-1"))
        assert run("verify", node, "--members", members).exit_code == code, text


def test_a_program_reads_json(node):
    damaged(node)
    result = run("verify", node, node.parent / "damaged", "--json", "--fingerprint", FINGERPRINT)
    good, bad = json.loads(result.stdout)["logs"]
    assert (good["verdict"], good["entries"], good["findings"], good["entry"]) == ("verified", 2, [], None)
    assert (good["institution"], good["fingerprint"], good["key_confirmed"]) == ("bank-a", FINGERPRINT, True)
    assert (bad["verdict"], bad["entry"], bad["after"]) == ("tampered", 1, "2026-01-01T00:00:00.000Z")
    assert bad["cause"] == bad["findings"][0]["cause"]


def test_an_export_verifies(node, tmp_path):
    result = run("export", "--from", node, "--out", tmp_path / "copy")
    assert result.exit_code == 0
    assert "2 entries" in result.output
    assert run("verify", tmp_path / "copy").exit_code == 0


def test_the_catalogue_is_printed():
    assert "| `access.granted` |" in run("events").output
