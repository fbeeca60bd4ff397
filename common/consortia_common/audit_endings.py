"""What the log says has failed and the database may not know: the process ended between the two.

A job's failure is logged before it is stored. If it could not be stored, because the disk was full or the process
was killed, the job must not go on at the next start as if nothing had been said.
"""

from collections.abc import Collection, Mapping
from typing import Any

from consortia_common.audit_log import AuditLog
from consortia_crypto.audit.entry import Entry

NEWEST = 4096
"""So many entries are looked at: more than a process writes between failing to store something and its end."""


def given_up(log: AuditLog, jobs: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """Of ``jobs``, those that the log's newest entries say have failed: the body of the entry that says so."""
    if not jobs:
        return {}
    bodies = (Entry.parse(raw).body for raw in log.read(max(0, log.size - NEWEST)))
    return {body["job"]: body for body in bodies if body["type"] == "job.failed" and body["job"] in jobs}
