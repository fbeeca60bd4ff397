"""Following a job to its end, with a line that says what is happening."""

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from consortia_client.session import Session
from consortia_common import terminal
from consortia_proto.v1 import network_pb2 as pb


def follow(session: Session, job_id: str, *, quiet: bool) -> pb.JobStatus:
    """Show progress, unless ``quiet``, until the job ends; its last status."""
    status = session.job(job_id)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal.err(), transient=True, disable=quiet) as progress:
        bar = progress.add_task(job_id, total=None)
        for status in session.watch(job_id):
            progress.update(
                bar,
                description=terminal.printable(f"{status.name}: {status.stage}"),
                total=status.steps_total,
                completed=status.steps_done,
            )
    return status
