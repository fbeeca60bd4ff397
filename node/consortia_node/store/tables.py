"""The tables of the node's database (SQLite in WAL mode, or PostgreSQL). Times are Unix milliseconds.

Nothing here leaves the institution. ``migrations/`` brings a database of any age to this shape.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, String, Table, Text

from consortia_common.contents import content_tables
from consortia_common.database import new_metadata
from consortia_common.witness_store import witness_table

metadata = new_metadata()

tasks = Table(
    "tasks",
    metadata,
    Column("task_id", String(160), primary_key=True),
    Column("job_id", String(80), nullable=False, index=True),
    Column("step", String(80), nullable=False),
    Column("round", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),  # received, answered, delivered
    Column("received_ms", BigInteger, nullable=False, index=True),
)
"""Inbox and outbox in one: work as it came, and the answer, which is stored before it is sent."""

contents = content_tables(metadata)
"""What tasks ask and what this node answered, apart from their states."""

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(80), primary_key=True),
    Column("submission", LargeBinary, nullable=False),
    Column("agreement", String(200), nullable=False, index=True),  # id@version#hash
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("scored_rows", BigInteger, nullable=False, default=0),  # reserved, then used, of the score budget
    Column("steps_taken", Integer, nullable=False, default=0),
    Column("accepted_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger),
)

job_values = Table(
    "job_values",
    metadata,
    Column("job_id", String(80), ForeignKey("jobs.job_id"), primary_key=True),
    Column("name", String(80), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""What a job keeps between its steps (epoch keys, the model so far); erased when the job ends."""

sums = Table(
    "sums",
    metadata,
    Column("job_id", String(80), ForeignKey("jobs.job_id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("turn", Integer, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),  # of the protocol, with its secrets; empty once it is done
    Column("institutions", LargeBinary, nullable=False),  # canonical JSON: whose uploads are in the opened sum
)
"""The sealed sums of jobs; their states are erased when the job ends."""

agreements = Table(
    "agreements",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("id", String(64), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
)

agreement_signatures = Table(
    "agreement_signatures",
    metadata,
    Column("hash", String(64), ForeignKey("agreements.hash"), primary_key=True),
    Column("signer", String(64), primary_key=True),  # fingerprint of a party's node or officer
    Column("signature", LargeBinary, nullable=False),
)

agreement_wishes = Table(
    "agreement_wishes",
    metadata,
    Column("hash", String(64), ForeignKey("agreements.hash"), primary_key=True),
    Column("signer", String(64), primary_key=True),
    Column("action", String(16), primary_key=True),  # suspend, resume, terminate
    Column("institution", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
"""When each signer last asked for what, besides signing; the signed statements are beside the log."""

job_approvals = Table(
    "job_approvals",
    metadata,
    Column("job_id", String(80), ForeignKey("jobs.job_id"), primary_key=True),
    Column("officer", String(64), primary_key=True),  # fingerprint
    Column("decision", String(16), nullable=False),  # approve, refuse
    Column("at_ms", BigInteger, nullable=False),
)
"""What officers decided on jobs that wait for them; the first word of each stands."""

subjects = Table(
    "subjects",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # random
    Column("tag", LargeBinary(16), nullable=False, unique=True),  # keyed hash of the bank's own customer number
    Column("wrapped_by", String(16), nullable=False, index=True),  # which key-encryption key
    Column("wrapped", LargeBinary, nullable=False),  # K_subject under that key
    Column("sealed", LargeBinary, nullable=False),  # under K_subject: number, consents in force, payloads
    sqlite_with_rowid=False,  # rows lie by random id, so their order tells nothing either
)
"""Customers. Without the keys, which lie in a file of their own, nothing here says who a row is about."""

payloads = Table(
    "payloads",
    metadata,
    Column("commitment", String(64), primary_key=True),  # as in the log's entry
    Column("wrapped", LargeBinary, nullable=False),  # the payload's key, under K_subject
    Column("sealed", LargeBinary, nullable=False),  # salt and payload
    sqlite_with_rowid=False,
)
"""What entries of the log commit to. Whose a payload is stands in the sealed part of the customer's row."""

erasures = Table(
    "erasures",
    metadata,
    Column("subject_id", BigInteger, ForeignKey("subjects.id", ondelete="CASCADE"), primary_key=True),
    Column("log_size", BigInteger, nullable=False),  # when it was begun: the entry that says so is not before it
)
"""Erasures that are under way, to be finished after a crash."""

counters = Table(
    "counters",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""``consent``: how often consent has changed, so that a running job notices."""

cohort_parts = Table(
    "cohort_parts",
    metadata,
    Column("part", Integer, primary_key=True, autoincrement=False),  # the ids' first eight bits
    Column("digest", LargeBinary(32), primary_key=True),  # of all ids of the cohort, as it was noted
    Column("ids", LargeBinary, nullable=False),  # ascending, 8 bytes each; without customers erased since
    sqlite_with_rowid=False,
)
"""Whose rows jobs used: what a withdrawal reaches. Jobs that used the same customers' rows share one set."""

cohorts = Table(
    "cohorts",
    metadata,
    Column("job_id", String(80), ForeignKey("jobs.job_id"), primary_key=True),
    Column("dataset", String(64), primary_key=True),
    Column("row_count", BigInteger, nullable=False),
    Column("customers", BigInteger, nullable=False),
    Column("digest", LargeBinary(32), nullable=False, index=True),
)
"""Which set of customers each job used, and how many there were, so that equal cohorts are found without reading
them, and a cohort that has lost erased customers since is known to have."""

consent_notices = Table(
    "consent_notices",
    metadata,
    Column("reference", String(80), primary_key=True),  # id@version
    Column("document", LargeBinary, nullable=False),
)
"""What customers were told; consent records cite it."""

statements = Table(
    "statements",
    metadata,
    Column("statement", String(32), primary_key=True),  # random, or that of the statement that it acknowledges
    Column("type", String(32), primary_key=True),
    Column("document", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),  # written, sent
)
"""What this institution tells others of withdrawn consents and models, and acknowledges; it names no customer."""

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("statement", String(32), primary_key=True),
    Column("institution", String(64), primary_key=True),
    Column("received_ms", BigInteger, nullable=False),
)
"""Who has acknowledged which of them."""

models = Table(
    "models",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("document", LargeBinary, nullable=False),
    Column("origin", String(80), nullable=False),  # "imported" or a job id
)

model_withdrawals = Table(
    "model_withdrawals",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("job_id", String(80), primary_key=True),  # that made the model; empty if none did
    Column("institution", String(64), primary_key=True),
    Column("reason", String(2000), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("statement", String(32), nullable=False),  # by which others were told
)
"""Models that count no more, by whom and why; it may be known before the model itself is."""

witnessed = witness_table(metadata)
"""The newest checkpoint of each log that this party has cosigned."""
