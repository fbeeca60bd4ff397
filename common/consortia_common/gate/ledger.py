"""PURE: the differential-privacy budget as a function of the log: no counter beside it that could be set back.

Loss adds up over the jobs of every version of an agreement: a new version does not give the data their privacy
back. An entry that says what a job spends is written before the job reads anything.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from consortia_common.documents.agreement import Agreement
from consortia_crypto.audit.entry import Entry

SPENT = "budget.spent"
"""The event that says what a job spends."""


@dataclass
class Ledger:
    """Feed it every entry of one log."""

    _spent: list[tuple[str, datetime, int]] = field(default_factory=list)

    def see(self, entry: Entry) -> None:
        """Take the next entry into account."""
        if entry.type == SPENT:
            name = entry.body["agreement"].partition("@")[0]
            loss = entry.body["detail"]["epsilon_micro"]
            self._spent.append((name, datetime.fromisoformat(entry.time), loss))

    def spent(self, agreement: Agreement, now: datetime) -> int:
        """Millionths of ε spent under any version of the agreement in the period that ends ``now``."""
        if agreement.dp is None:
            return 0
        since = now - timedelta(days=agreement.dp.period_days)
        return sum(loss for name, at, loss in self._spent if name == agreement.id and at > since)
