"""The kernel itself fails each system call of the log's writer, or kills it there (strace's fault injection)."""

import base64
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime

import pytest

from consortia_common import keyfiles
from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import LogFolder, records
from consortia_common.audit_verify import verify_folder
from consortia_crypto.audit import tree
from consortia_crypto.keys import PrivateIdentity

WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from consortia_common import keyfiles
from consortia_common.audit_log import AuditLog

folder = Path(sys.argv[1])
log = AuditLog.open(folder / "log", keyfiles.load_identity(folder / "key"), "bank-a",
                    lambda: datetime(2026, 1, 1, tzinfo=UTC), segment_bytes=2000)
log.on_checkpoint(lambda signed: print("signed", *signed.note.text.split()[1:], flush=True))
for n in range(4):
    print("entry", log.append("peer.connected", peer=f"bank-{n}").leaf_hash, flush=True)
    log.checkpoint()
log.rotate_keys()
log.checkpoint()
log.close()
"""
CALLS = ("openat", "write", "fdatasync", "fsync", "rename", "close", "unlink", "mkdir")
OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")


def strace_works():
    """Whether strace is here and may trace (containers often forbid it)."""
    if shutil.which("strace") is None:
        return False
    command = ["strace", "-f", "-e", "trace=none", "true"]
    tried = subprocess.run(command, capture_output=True, check=False, timeout=30)
    return tried.returncode == 0


pytestmark = pytest.mark.skipif(not strace_works(), reason="strace is not installed, or may not trace here")


def run(folder, *options):
    """Run the writer in ``folder`` under strace: what it printed, and strace's own lines."""
    folder.mkdir()
    keyfiles.save_identity(folder / "key", OWNER)
    done = subprocess.run(
        ["strace", "-f", "-qq", "-y", "-s", "0", "-o", str(folder / "trace"), "-e", f"trace={','.join(CALLS)}",
         *options, sys.executable, "-B", "-c", WRITER, str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False, timeout=120,
        env=os.environ | {"PYTHONHASHSEED": "0"},
    )  # fmt: skip
    return done.stdout.splitlines(), (folder / "trace").read_text().splitlines()


def places(folder, trace):
    """(call, n) for each call in the log's folder, where n counts that call from the program's start."""
    counts, found = Counter(), []
    for line in trace:
        match = re.match(r"\d+ +(\w+)\(", line)
        if match:
            counts[match[1]] += 1
            if f"{folder}/log" in line:
                found.append((match[1], counts[match[1]]))
    return found


@pytest.fixture(scope="module")
def every_place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("intact") / "f"
    printed, trace = run(folder)
    assert printed[-1].startswith("signed")
    found = places(folder, trace)
    assert {call for call, _ in found} == set(CALLS)
    return found


def check(folder, printed):
    """Open the log anew: what was acknowledged is there, and what was signed is true of it."""
    with AuditLog.open(folder / "log", OWNER, "bank-a", lambda: datetime(2026, 1, 1, tzinfo=UTC)):
        pass
    leaves = [tree.leaf_hash(raw) for raw in records(LogFolder(folder / "log"))]
    whole = [line.split() for line in printed]
    assert {words[1] for words in whole if words[0] == "entry"} <= {leaf.hex() for leaf in leaves}
    for _, size, root in (words for words in whole if words[0] == "signed"):
        assert base64.b64decode(root) == tree.root(leaves[: int(size)])
    assert verify_folder(folder / "log", OWNER.public.fingerprint).summary == "verified"


def fail_at(folder, call, number, how):
    printed, trace = run(folder, "-e", f"inject={call}:{how}:when={number}")
    hit = [line for line in trace if "(INJECTED)" in line or "killed by SIGKILL" in line]
    assert hit, "the fault was not injected"
    check(folder, printed)


FAULTS = ["error=EIO", "signal=KILL"]


@pytest.mark.parametrize("how", FAULTS)
@pytest.mark.parametrize("call", CALLS)
def test_a_system_call_that_fails_costs_no_promise(tmp_path, every_place, call, how):
    numbers = [number for name, number in every_place if name == call]
    fail_at(tmp_path / "f", call, numbers[len(numbers) * 2 // 3], how)


@pytest.mark.slow
@pytest.mark.parametrize("how", FAULTS)
def test_no_system_call_that_fails_costs_a_promise(tmp_path, every_place, how):
    for call, number in every_place:
        fail_at(tmp_path / f"{call}-{number}", call, number, how)
