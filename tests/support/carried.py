"""What a coordinator's exchange has counted of a job, also of one that only its messages name."""

from sqlalchemy import Engine, select

from consortia_common.database import reading
from consortia_coordinator.store.tables import traffic


def carried(engine: Engine, job_id: str) -> tuple[int, int]:
    """Bytes of the job's messages (up, down)."""
    counted = select(traffic.c.bytes_up, traffic.c.bytes_down).where(traffic.c.job_id == job_id)
    with reading(engine) as connection:
        up, down = connection.execute(counted).one_or_none() or (0, 0)
    return up, down
