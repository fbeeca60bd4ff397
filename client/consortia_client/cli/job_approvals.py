"""``consortia job waiting|approve|refuse``: jobs that people decide on."""

import json
import time
from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_common import terminal

_REASON = click.option("--reason", default="", help="A sentence for the analyst and the logs.")


@click.command()
@options.config
@options.as_json
def waiting(config_file: Path, as_json: bool) -> None:
    """Show the jobs that wait at this institution for its officers, with all that they ask."""
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        found = [_plain(job) for job in node.ListWaitingJobs(control_pb2.ListWaitingJobsRequest(), timeout=30).jobs]
    if as_json:
        terminal.as_json(found)
        return
    for job in found:
        terminal.facts(
            {
                "job": job["job_id"],
                "agreement": job["agreement"],
                "waits until": job["until"],
                "officers": f"{len(job['approved_by'])} of {job['officers']} have approved",
                "asks": json.dumps(job["submission"]["spec"], ensure_ascii=False),
            }
        )
    if not found:
        terminal.done("no job waits")


@click.command()
@click.argument("job_id")
@options.profile
@_REASON
@options.as_json
def approve(job_id: str, folder: Path, reason: str, as_json: bool) -> None:
    """Approve the job JOB_ID for this institution, as one of its officers.

    Look at what it asks first, with `consortia job waiting` at the institution's node. The job's id binds every
    byte of it, so nothing else can be run in its name.
    """
    _decide(folder, job_id, "approve", reason, as_json)


@click.command()
@click.argument("job_id")
@options.profile
@_REASON
@options.as_json
def refuse(job_id: str, folder: Path, reason: str, as_json: bool) -> None:
    """Refuse the job JOB_ID for this institution, as one of its officers; one refusal is enough."""
    _decide(folder, job_id, "refuse", reason, as_json)


def _decide(folder: Path, job_id: str, decision: str, reason: str, as_json: bool) -> None:
    from consortia_client.officer import Officer
    from consortia_client.profile import Profile

    with Officer(Profile.load(folder)) as officer:
        officer.decide(job_id, decision, reason, int(time.time() * 1000))
    if as_json:
        terminal.as_json({"job_id": job_id, "decision": decision})
        return
    terminal.done(f"{decision} of {job_id} signed and sent to this institution's node, which decides by it")


def _plain(job: Any) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "agreement": job.agreement,
        "until": job.until,
        "officers": job.officers,
        "approved_by": list(job.approved_by),
        "submission": json.loads(job.submission),
    }
