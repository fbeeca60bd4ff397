"""``consortia job``: what an analyst does with jobs."""

import time
from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_client.cli.job_approvals import approve, refuse, waiting
from consortia_client.cli.job_plan import plan
from consortia_client.cli.job_receipts import receipt, verify
from consortia_client.cli.job_results import show, show_csv
from consortia_client.cli.job_specs import check, new
from consortia_common import terminal

_SPEC = click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group()
def job() -> None:
    """Write, submit, approve and follow jobs, read their results and check their receipts.

    A job is a YAML file that says what is asked; docs/job-specs.md explains each field.
    """


for _command in (new, check, plan, approve, refuse, waiting, receipt, verify):
    job.add_command(_command)


@job.command()
@_SPEC
@options.profile
@click.option("--wait", is_flag=True, help="Follow the job to its end and show the result.")
@options.as_json
def submit(spec: Path, folder: Path, wait: bool, as_json: bool) -> None:
    """Sign the job spec SPEC and submit it."""
    from consortia_client.profile import Profile
    from consortia_client.progress import follow
    from consortia_client.session import Session

    found = _read(spec)
    with Session(Profile.load(folder)) as session:
        status = session.submit(found, int(time.time() * 1000))
        if not wait:
            _show(status, as_json)
            return
        status = follow(session, status.job_id, quiet=as_json)
        _finish(session, status, as_json)


@job.command(name="show")
@click.argument("job_id")
@options.profile
@options.as_json
def show_(job_id: str, folder: Path, as_json: bool) -> None:
    """Show where the job JOB_ID stands, and who refused what."""
    from consortia_client.profile import Profile
    from consortia_client.session import Session

    with Session(Profile.load(folder)) as session:
        _show(session.job(job_id), as_json)


@job.command(name="list")
@options.profile
@options.as_json
@options.as_csv
def list_(folder: Path, as_json: bool, as_csv: bool) -> None:
    """Show every job of the network."""
    from consortia_client.profile import Profile
    from consortia_client.session import Session

    with Session(Profile.load(folder)) as session:
        found = session.jobs()
    if as_json:
        terminal.as_json([_plain(status) for status in found])
        return
    heads = ("job", "name", "kind", "state", "stage")
    rows = [(one.job_id, one.name, one.kind, one.state, one.stage.partition(" (at fault")[0]) for one in found]
    (terminal.as_csv if as_csv else terminal.table)(heads, rows)


@job.command()
@click.argument("job_id")
@options.profile
@options.as_json
def watch(job_id: str, folder: Path, as_json: bool) -> None:
    """Watch the job JOB_ID until it ends: its stage, and of a model in training the losses from round to round.

    The losses are sums that all parties have opened together; one of them seals them to the analyst who submitted
    the job, so nobody else sees them. To stop watching (Ctrl-C) does not stop the job; `consortia job cancel` does.
    """
    from consortia_client.profile import Profile
    from consortia_client.progress import follow
    from consortia_client.session import Session

    with Session(Profile.load(folder)) as session:
        status = follow(session, job_id, quiet=as_json)
        _show(status, as_json)
    if status.state in {"refused", "failed", "cancelled"}:
        raise SystemExit(1)


@job.command()
@click.argument("job_id")
@options.profile
@options.as_json
def cancel(job_id: str, folder: Path, as_json: bool) -> None:
    """End the job JOB_ID, which you submitted.

    No step is asked of the parties any more; each ends the job after the step that it is taking, and erases the
    job's keys and rows. What the parties were asked before stays on their logs and counts against the agreement.
    """
    from consortia_client.profile import Profile
    from consortia_client.progress import follow
    from consortia_client.session import Session

    with Session(Profile.load(folder)) as session:
        session.cancel(job_id)
        _show(follow(session, job_id, quiet=as_json), as_json)


@job.command()
@click.argument("job_id")
@options.profile
@click.option("--wait", is_flag=True, help="Wait for the job to end first.")
@click.option("--table", "table", default="", help="Show this table of the result only.")
@options.as_json
@options.as_csv
def result(job_id: str, folder: Path, wait: bool, table: str, as_json: bool, as_csv: bool) -> None:
    """Open and show the result of the job JOB_ID, after checking every party's receipt.

    With --csv, one table of the result: the first, or the one that --table names.
    """
    from consortia_client.profile import Profile
    from consortia_client.progress import follow
    from consortia_client.session import Session

    with Session(Profile.load(folder)) as session:
        status = follow(session, job_id, quiet=as_json or as_csv) if wait else session.job(job_id)
        if as_csv:
            show_csv(session, status, table)
        else:
            _finish(session, status, as_json, table)


def _read(spec: Path) -> Any:
    from consortia_common.documents.jobspec import JobSpec

    return JobSpec.from_yaml(options.text_of(spec), str(spec))


def _finish(session: Any, status: Any, as_json: bool, table: str = "") -> None:
    """Show how a job ended, with its result if it has one; exits with 1 if it was refused or failed."""
    opened = session.result(status.job_id) if status.state == "finished" else None
    if as_json:
        receipts = [receipt.model_dump(mode="json") for receipt in opened.receipts] if opened else []
        terminal.as_json(_plain(status) | {"result": opened.result if opened else None, "receipts": receipts})
    else:
        _show(status, as_json=False)
        if opened:
            show(opened, table)
    if status.state in {"refused", "failed", "cancelled"}:
        raise SystemExit(1)


def _show(status: Any, as_json: bool) -> None:
    if as_json:
        terminal.as_json(_plain(status))
        return
    terminal.facts(
        {
            "job": status.job_id,
            "name": status.name,
            "kind": status.kind,
            "state": status.state,
            "stage": status.stage,
            "through the coordinator": f"{status.bytes_up:,} bytes up, {status.bytes_down:,} down",
        }
    )
    for refusal in status.refusals:
        failure = refusal.failure
        terminal.facts(
            {
                _ENDED_BY.get(failure.code, "failed at"): refusal.institution,
                **({"clause": failure.clause} if failure.clause else {}),
                "why": failure.what,
                "at fault": failure.blame,
                "what to do": failure.remedy,
            }
        )


_ENDED_BY = {"refused": "refused by", "cancelled": "cancelled by"}


def _plain(status: Any) -> dict[str, Any]:
    return {
        "job_id": status.job_id,
        "name": status.name,
        "kind": status.kind,
        "state": status.state,
        "stage": status.stage,
        "submitted_ms": status.submitted_ms,
        "finished_ms": status.finished_ms or None,
        "bytes_up": status.bytes_up,
        "bytes_down": status.bytes_down,
        "refusals": [
            {
                "institution": refusal.institution,
                "code": refusal.failure.code,
                "clause": refusal.failure.clause,
                "what": refusal.failure.what,
                "blame": refusal.failure.blame,
                "remedy": refusal.failure.remedy,
            }
            for refusal in status.refusals
        ],
    }
