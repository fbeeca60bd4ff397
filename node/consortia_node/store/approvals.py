"""What officers decided on jobs that wait for them."""

from sqlalchemy import Connection, func, insert, select

from consortia_node.store.tables import job_approvals


class ApprovalStore:
    """Reads and writes of decisions on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, job_id: str, officer: str, decision: str, at_ms: int) -> None:
        """Keep the first decision of an officer."""
        values = {"job_id": job_id, "officer": officer, "decision": decision, "at_ms": at_ms}
        self._connection.execute(insert(job_approvals).values(values))

    def decisions(self, job_id: str) -> dict[str, str]:
        """By the officers' fingerprints."""
        query = select(job_approvals.c.officer, job_approvals.c.decision).where(job_approvals.c.job_id == job_id)
        return {row.officer: row.decision for row in self._connection.execute(query)}

    def last_ms(self, job_id: str) -> int | None:
        """When the last of them was made; None without any."""
        query = select(func.max(job_approvals.c.at_ms)).where(job_approvals.c.job_id == job_id)
        return self._connection.execute(query).scalar()
