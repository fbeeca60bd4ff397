"""Following a job to its end: a line that says what is happening, and of a fit its losses from round to round.

What is shown of a fit its parties have opened together and one of them has sealed to the analyst.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from consortia_client import curves
from consortia_client.curves import Point
from consortia_client.optional import load
from consortia_client.session import Session
from consortia_common import terminal
from consortia_proto.v1 import network_pb2 as pb


@dataclass(frozen=True)
class Seen:
    """Where a job stands, and how its fit has gone so far; no points for what is no fit, or another's job."""

    status: pb.JobStatus
    curve: tuple[Point, ...] = ()


def watch(session: Session, job_id: str) -> Iterator[Seen]:
    """Each time that something changes, until the job ends."""
    curve: tuple[Point, ...] = ()
    for status in session.watch(job_id):
        curve = session.curve(status) or curve
        yield Seen(status, curve)


def follow(session: Session, job_id: str, *, quiet: bool) -> pb.JobStatus:
    """Show progress, unless ``quiet``, until the job ends; its last status."""
    status = session.job(job_id)
    if quiet:
        for each in session.watch(job_id):
            status = each
        return status
    with _in_notebook() if terminal.err().is_jupyter else _in_terminal(job_id) as show:
        for seen in watch(session, job_id):
            status = seen.status
            show(seen)
    return status


_Show = Callable[[Seen], None]


@contextmanager
def _in_terminal(job_id: str) -> Iterator[_Show]:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=terminal.err())
    task = bar.add_task(job_id, total=None)
    with Live(bar, console=terminal.err(), transient=True) as live:

        def show(seen: Seen) -> None:
            status = seen.status
            bar.update(task, description=_told(seen), total=status.steps_total, completed=status.steps_done)
            live.update(Group(bar, *(Text(line, no_wrap=True) for line in curves.lines(seen.curve))))

        yield show


@contextmanager
def _in_notebook() -> Iterator[_Show]:
    """One output of the cell, written again each time and empty at the end; no widgets are needed for it."""
    page = load("IPython.display", "progress in a notebook", "ipython")
    output = page.display(page.HTML(""), display_id=True)
    try:
        yield lambda seen: output.update(page.HTML(_page(seen)))
    finally:
        output.update(page.HTML(""))


def _page(seen: Seen) -> str:
    status, lines = seen.status, curves.lines(seen.curve)
    bar = f'<progress value="{status.steps_done}" max="{max(1, status.steps_total)}"></progress>'
    return f"<p>{escape(_told(seen))} {bar}</p>" + (f"<pre>{escape(chr(10).join(lines))}</pre>" if lines else "")


def _told(seen: Seen) -> str:
    return terminal.printable(f"{seen.status.name}: {seen.status.stage}")
