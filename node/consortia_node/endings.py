"""At start, before any task is done: end here what the log says has failed and the database does not know."""

from consortia_common.audit_endings import given_up
from consortia_common.database import reading, scrub
from consortia_node import jobs as rules
from consortia_node.cohorts import Cohorts
from consortia_node.store.jobs import JobStore
from consortia_node.tools import Tools


def finish_failures(tools: Tools) -> None:
    """End these jobs and erase what they kept, as was done or begun when their failure was logged."""
    with reading(tools.engine) as connection:
        under_way = {job.job_id for job in JobStore(connection).under_way()}
    for job_id, body in given_up(tools.log, under_way).items():
        Cohorts(tools).erase(job_id)
        with tools.engine.begin() as connection:
            JobStore(connection).advance(job_id, rules.FAILED, tools.now_ms(), str(body.get("reason", "")))
        scrub(tools.engine)
