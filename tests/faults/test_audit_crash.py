"""SIGKILL in the middle of writing: no entry that was acknowledged is lost, and the log goes on."""

import itertools
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from consortia_common import keyfiles
from consortia_common.audit_log import AuditLog
from consortia_common.audit_verify import verify_folder
from consortia_crypto.keys import PrivateIdentity

WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from consortia_common import keyfiles
from consortia_common.audit_log import AuditLog

folder = Path(sys.argv[1])
log = AuditLog.open(folder / "log", keyfiles.load_identity(folder / "key"), "bank-a", lambda: datetime.now(UTC))
while True:
    print(log.append("peer.connected", peer="bank-b").index, flush=True)
"""


@pytest.mark.parametrize("entries", [1, 25])
def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path, entries):
    owner = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
    keyfiles.save_identity(tmp_path / "key", owner)
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True
        ) as writer:
            acknowledged = [int(line) for line in itertools.islice(writer.stdout, entries)]
            writer.kill()
            acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
        report = verify_folder(tmp_path / "log", owner.public.fingerprint)
        assert report.verdict == "verified"
        assert report.entries > acknowledged[-1]
    with AuditLog.open(tmp_path / "log", owner, "bank-a", lambda: datetime.now(UTC)) as log:
        assert log.size > acknowledged[-1] + 1
