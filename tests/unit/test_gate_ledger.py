"""The differential-privacy budget as a function of the log alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from consortia_common.audit_log import AuditLog
from consortia_common.audit_segments import records
from consortia_common.documents.agreement import Agreement
from consortia_common.gate.ledger import SPENT, Ledger
from consortia_crypto.audit.entry import Entry
from consortia_crypto.keys import PrivateIdentity
from tests.support.documents import agreement

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
BEGIN = datetime(2026, 12, 20, tzinfo=UTC)
BUDGET = agreement(dp={"epsilon_micro": 1000, "period_days": 30})
NEXT = agreement(version=2, parent=BUDGET.hash(), dp={"epsilon_micro": 1000, "period_days": 30})
OTHER = agreement(id="other", dp={"epsilon_micro": 1000})


class Days:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime:
        return self.now


def spend(log: AuditLog, under: Agreement, epsilon_micro: int) -> None:
    log.append(SPENT, job="job-1", agreement=under.reference, epsilon_micro=epsilon_micro)


def spent(log: AuditLog, under: Agreement, now: datetime) -> int:
    ledger = Ledger()
    for shard in log.folder.shards():
        for raw in records(shard):
            ledger.see(Entry.parse(raw))
    return ledger.spent(under, now)


def test_every_version_spends_from_one_budget_and_other_agreements_from_theirs(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path, OWNER, "bank-a", Days()) as log:
        spend(log, BUDGET, 300)
        spend(log, NEXT, 20)
        spend(log, OTHER, 5)
        assert spent(log, BUDGET, BEGIN) == spent(log, NEXT, BEGIN) == 320
        assert spent(log, OTHER, BEGIN) == 5
        assert spent(log, agreement(), BEGIN) == 0


def test_the_period_rolls_also_over_the_new_year_and_a_restart(tmp_path: Path) -> None:
    clock = Days()
    with AuditLog.open(tmp_path, OWNER, "bank-a", clock) as log:
        spend(log, BUDGET, 300)
        clock.now += timedelta(days=20)
        spend(log, BUDGET, 7)
    with AuditLog.open(tmp_path, OWNER, "bank-a", clock) as log:
        assert len(list(log.folder.shards())) == 2
        assert spent(log, BUDGET, BEGIN + timedelta(days=29)) == 307
        assert spent(log, BUDGET, BEGIN + timedelta(days=30)) == 7
        assert spent(log, BUDGET, BEGIN + timedelta(days=50)) == 0
