"""The first shape of the node's database."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "acknowledgements",
        sa.Column("statement", sa.String(length=32), nullable=False),
        sa.Column("institution", sa.String(length=64), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("statement", "institution", name=op.f("pk_acknowledgements")),
    )
    op.create_table(
        "agreements",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_agreements")),
    )
    op.create_index(op.f("ix_agreements_id"), "agreements", ["id"], unique=False)
    op.create_table(
        "cohort_parts",
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("ids", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("part", "digest", name=op.f("pk_cohort_parts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "consent_notices",
        sa.Column("reference", sa.String(length=80), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("reference", name=op.f("pk_consent_notices")),
    )
    op.create_table(
        "contents",
        sa.Column("message_id", sa.String(length=160), nullable=False),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.BigInteger(), nullable=False),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("file", sa.String(length=40), nullable=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", "side", name=op.f("pk_contents")),
        sa.UniqueConstraint("file", name=op.f("uq_contents_file")),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(length=80), nullable=False),
        sa.Column("submission", sa.LargeBinary(), nullable=False),
        sa.Column("agreement", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("scored_rows", sa.BigInteger(), nullable=False),
        sa.Column("steps_taken", sa.Integer(), nullable=False),
        sa.Column("accepted_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_agreement"), "jobs", ["agreement"], unique=False)
    op.create_table(
        "model_withdrawals",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=80), nullable=False),
        sa.Column("institution", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("statement", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("digest", "job_id", "institution", name=op.f("pk_model_withdrawals")),
    )
    op.create_table(
        "models",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("origin", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_models")),
    )
    op.create_table(
        "payloads",
        sa.Column("commitment", sa.String(length=64), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("commitment", name=op.f("pk_payloads")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "statements",
        sa.Column("statement", sa.String(length=32), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("statement", "type", name=op.f("pk_statements")),
    )
    op.create_table(
        "subjects",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tag", sa.LargeBinary(length=16), nullable=False),
        sa.Column("wrapped_by", sa.String(length=16), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subjects")),
        sa.UniqueConstraint("tag", name=op.f("uq_subjects_tag")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_subjects_wrapped_by"), "subjects", ["wrapped_by"], unique=False)
    op.create_table(
        "tasks",
        sa.Column("task_id", sa.String(length=160), nullable=False),
        sa.Column("job_id", sa.String(length=80), nullable=False),
        sa.Column("step", sa.String(length=80), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_tasks")),
    )
    op.create_index(op.f("ix_tasks_job_id"), "tasks", ["job_id"], unique=False)
    op.create_index(op.f("ix_tasks_received_ms"), "tasks", ["received_ms"], unique=False)
    op.create_index(op.f("ix_tasks_state"), "tasks", ["state"], unique=False)
    op.create_table(
        "unfinished",
        sa.Column("file", sa.String(length=40), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("message_id", sa.String(length=160), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("begun_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("file", name=op.f("pk_unfinished")),
    )
    op.create_index(op.f("ix_unfinished_peer"), "unfinished", ["peer"], unique=False)
    op.create_table(
        "witnessed",
        sa.Column("origin", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("identity", sa.LargeBinary(), nullable=False),
        sa.Column("vkeys", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("origin", name=op.f("pk_witnessed")),
    )
    op.create_table(
        "agreement_signatures",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("signer", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["hash"], ["agreements.hash"], name=op.f("fk_agreement_signatures_hash")),
        sa.PrimaryKeyConstraint("hash", "signer", name=op.f("pk_agreement_signatures")),
    )
    op.create_table(
        "agreement_wishes",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("signer", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("institution", sa.String(length=64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["hash"], ["agreements.hash"], name=op.f("fk_agreement_wishes_hash")),
        sa.PrimaryKeyConstraint("hash", "signer", "action", name=op.f("pk_agreement_wishes")),
    )
    op.create_table(
        "cohorts",
        sa.Column("job_id", sa.String(length=80), nullable=False),
        sa.Column("dataset", sa.String(length=64), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("customers", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name=op.f("fk_cohorts_job_id")),
        sa.PrimaryKeyConstraint("job_id", "dataset", name=op.f("pk_cohorts")),
    )
    op.create_index(op.f("ix_cohorts_digest"), "cohorts", ["digest"], unique=False)
    op.create_table(
        "erasures",
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("log_size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subjects.id"], name=op.f("fk_erasures_subject_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("subject_id", name=op.f("pk_erasures")),
    )
    op.create_table(
        "job_approvals",
        sa.Column("job_id", sa.String(length=80), nullable=False),
        sa.Column("officer", sa.String(length=64), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name=op.f("fk_job_approvals_job_id")),
        sa.PrimaryKeyConstraint("job_id", "officer", name=op.f("pk_job_approvals")),
    )
    op.create_table(
        "job_values",
        sa.Column("job_id", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name=op.f("fk_job_values_job_id")),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_job_values")),
    )
    op.create_table(
        "sums",
        sa.Column("job_id", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("institutions", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name=op.f("fk_sums_job_id")),
        sa.PrimaryKeyConstraint("job_id", "name", "turn", name=op.f("pk_sums")),
    )
