"""The tables of the coordinator's database (SQLite in WAL mode, or PostgreSQL). Times are Unix milliseconds.

Nothing here can be read for its content: what institutions say to each other is sealed or encrypted before it
comes. ``migrations/`` brings a database of any age to this shape.
"""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from consortia_common.contents import content_tables
from consortia_common.database import new_metadata
from consortia_common.witness_store import witness_table

metadata = new_metadata()

invitations = Table(
    "invitations",
    metadata,
    Column("invitation_id", String(64), primary_key=True),
    Column("institution", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("name", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("logged_ms", BigInteger),  # null: not yet on the coordinator's log, so not yet honoured
    Column("used_ms", BigInteger),
)

members = Table(
    "members",
    metadata,
    Column("institution", String(64), primary_key=True),
    Column("role", String(16), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("identity", LargeBinary, nullable=False),  # canonical JSON of the public identity
    Column("state", String(16), nullable=False),  # active, revoked
    Column("enrolled_ms", BigInteger, nullable=False),
    Column("tls_key", String(64), nullable=False),  # digest of the key of the newest certificate
    Column("older_tls_key", String(64)),  # of the one before, which may be shown until it expires
    Column("not_after_ms", BigInteger, nullable=False),  # of the newest certificate
    Column("issuer", String(64), nullable=False),  # digest of the issuing certificate above it
    Column("roots_known", Integer, nullable=False, default=0),  # number of the newest list of roots that it has
    Column("confirmed_ms", BigInteger),  # null: nobody has compared the fingerprint
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", String(40), primary_key=True),
    Column("type", String(16), nullable=False),  # revoke, confirm, authority
    Column("institution", String(64), nullable=False),
    Column("role", String(16), nullable=False),  # empty: every role
    Column("name", String(64), nullable=False),  # empty: every name
    Column("said", Text, nullable=False),  # the reason; of a confirmation the fingerprint
    Column("by", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("done_ms", BigInteger),
    Column("outcome", Text, nullable=False, default=""),
)
"""What the operator's commands ask of the running coordinator, which alone writes the log."""

revocations = Table(
    "revocations",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("document", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("revoked_ms", BigInteger, nullable=False),
)
"""What nodes are told of each identity that was revoked. Its keys never come back."""

statements = Table(
    "statements",
    metadata,
    Column("statement_id", String(64), primary_key=True),
    Column("type", String(64), nullable=False),
    Column("institution", String(64), nullable=False),
    Column("author", String(64), nullable=False),  # fingerprint of the node or officer whose signature it bears
    Column("document", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("received_ms", BigInteger, nullable=False, index=True),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(80), primary_key=True),
    Column("submission", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("analyst", String(64), nullable=False),  # fingerprint
    Column("kind", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("stage", Text, nullable=False, default=""),
    Column("steps_done", Integer, nullable=False, default=0),
    Column("steps_total", Integer, nullable=False, default=0),
    Column("submitted_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger),
    Column("refusals", LargeBinary, nullable=False),  # a JobStatus that holds nothing else
    Column("result", LargeBinary),  # serialised JobResult
    Column("progress", LargeBinary),  # serialised Progress; nothing once the job has ended
)

tasks = Table(
    "tasks",
    metadata,
    Column("task_id", String(160), primary_key=True),
    Column("job_id", String(80), nullable=False),
    Column("institution", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # queued, delivered, answered, failed
    Column("sequence", Integer, nullable=False, unique=True),  # the order in which tasks are sent
    Column("erased", Boolean, nullable=False, default=False),  # its contents are gone, as all of its job are to go
    Index(None, "job_id", "erased"),
    Index(None, "institution", "state", "sequence"),
)
"""Outbox and inbox in one. A job that is run again after a restart finds its earlier answers here."""

contents = content_tables(metadata)
"""What tasks ask and what came back, apart from their states."""

traffic = Table(
    "traffic",
    metadata,
    Column("job_id", String(80), primary_key=True),
    Column("bytes_up", BigInteger, nullable=False),
    Column("bytes_down", BigInteger, nullable=False),
)
"""Bytes of a job's messages, each time that one was carried whole."""

memos = Table(
    "memos",
    metadata,
    Column("job_id", String(80), ForeignKey("jobs.job_id"), primary_key=True),
    Column("name", String(120), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""Results of a job's own steps that must come out the same when it is run again."""

witnessed = witness_table(metadata)
"""The newest checkpoint of each log that this party has cosigned."""

witnesses = Table(
    "witnesses",
    metadata,
    Column("institution", String(64), primary_key=True),
    Column("statement", LargeBinary, nullable=False),
)
"""What each institution says its witness keys are, signed by its identity."""
