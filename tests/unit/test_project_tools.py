"""The tools that generate code and lock versions: they notice what is out of date and name no index."""

import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.tools import lock, stubs

EXACT = re.compile(r"^[a-zA-Z0-9._-]+(\[[a-z,]+\])?==[^ ;]+( ; .*)? \\$")
HASH = re.compile(r"^ +--hash=sha256:[0-9a-f]{64}( \\)?$")


def test_the_committed_code_is_what_the_contract_generates() -> None:
    assert stubs.outdated() == []


def test_code_that_was_edited_by_hand_or_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "consortia_proto" / "v1"
    package.mkdir(parents=True)
    for path in stubs.PACKAGE.glob("*.proto"):
        (package / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(stubs, "PROTO", tmp_path)
    monkeypatch.setattr(stubs, "PACKAGE", package)
    stubs.generate(tmp_path)
    assert stubs.outdated() == []
    (package / "content_pb2.py").write_text("# edited\n")
    (package / "control_pb2.pyi").unlink()
    (package / "gone_pb2.py").write_text("")
    assert stubs.outdated() == ["content_pb2.py", "control_pb2.pyi", "gone_pb2.py"]


def test_checking_exits_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["stubs", "--check"])
    monkeypatch.setattr(stubs, "outdated", lambda: ["content_pb2.py"])
    with pytest.raises(SystemExit, match=r"out of date: content_pb2.py; run `make proto`"):
        stubs.main()
    monkeypatch.setattr(stubs, "outdated", list)
    stubs.main()


def test_locking_asks_for_exact_versions_with_hashes_and_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[Any], **options: Any) -> subprocess.CompletedProcess[str]:
        assert options["check"]
        commands.append([str(part) for part in command])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    lock.main()
    assert [command[-1] for command in commands] == list(lock.LOCKS)
    for command in commands:
        assert {"--generate-hashes", "--universal", "--no-emit-index-url"} <= set(command)
        assert not any("http" in part for part in command)


@pytest.mark.parametrize("name", lock.LOCKS)
def test_every_locked_version_is_exact_and_hashed(name: str) -> None:
    lines = (lock.ROOT / name).read_text().splitlines()
    assert lines
    assert [line for line in lines if not (EXACT.match(line) or HASH.match(line))] == []
    assert not lines[-1].endswith("\\")
    for line, following in pairwise(lines):
        assert not EXACT.match(line) or HASH.match(following)


def test_both_files_agree_where_they_overlap() -> None:
    versions = [
        dict(
            line.split(" ")[0].split("==")
            for line in (lock.ROOT / name).read_text().splitlines()
            if EXACT.match(line) and " ; " not in line
        )
        for name in lock.LOCKS
    ]
    shared = versions[0].keys() & versions[1].keys()
    assert shared
    assert {name for name in shared if versions[0][name] != versions[1][name]} == set()


@pytest.mark.parametrize("package", ["flwr==1.41.0", "cryptography==50.0.2", "tenseal==0.3.18"])
def test_what_must_not_fall_back_is_pinned(package: str) -> None:
    assert f"\n{package} " in "\n" + (lock.ROOT / "requirements" / "runtime.txt").read_text()
