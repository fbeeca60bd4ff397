"""Ends jobs that nobody asks about any more: their coordinator lost them, or its word never came.

Such a job would keep its keys and its cohort's rows for ever, and count as under way. How long a node waits is its
own setting and longer than any step may take, so that an honest coordinator has long given the job up.
"""

from datetime import timedelta

from consortia_common.database import reading, scrub
from consortia_node import jobs as rules
from consortia_node.cohorts import Cohorts
from consortia_node.store.jobs import JobStore
from consortia_node.tools import Tools


def end_abandoned(tools: Tools) -> list[str]:
    """End the jobs of which nothing was asked for ``abandon_days``; their ids. Logged before it is done."""
    days = tools.settings.abandon_days
    before = tools.now_ms() - int(timedelta(days=days).total_seconds() * 1000)
    reason = f"nothing was asked of it for {days} days"
    with reading(tools.engine) as connection:
        silent = [job.job_id for job in JobStore(connection).silent_since(before)]
    for job_id in silent:
        tools.log.append("job.failed", job=job_id, reason=reason)
        tools.workers.end(job_id)
        Cohorts(tools).erase(job_id)
        with tools.engine.begin() as connection:
            JobStore(connection).advance(job_id, rules.FAILED, tools.now_ms(), reason)
    if silent:
        scrub(tools.engine)
    return silent
