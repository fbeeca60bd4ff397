"""The demo: builds the network in a folder, plays the story, writes ``summary.json``, stops everything.

    python -m examples.credit_risk.run [--folder .demo]

It drives the ``consortia`` command line as people would. What it computes by itself, outside the network, are the
references that the jobs' answers are compared with; it says so where it does.
"""

import json
import signal
import sys
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from consortia_common import terminal
from examples.credit_risk import chapters, expectations, network
from examples.credit_risk.processes import Processes, free_port
from examples.credit_risk.story import Story

TERMINATED = 143


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Where the demo builds its network; what an earlier demo left there is deleted.",
)
def main(folder: Path) -> None:
    """Three banks, a coordinator and a regulator on this machine: one real job of each kind, and the proof."""
    signal.signal(signal.SIGTERM, end)
    story = Story(Console(highlight=False, soft_wrap=False))
    places = network.clear(folder.resolve())
    chapters.introduce(story)
    with Processes(places.root / "logs") as processes:
        summary = chapters.play(story, places, processes, free_port())
    summary["seconds"] = story.seconds
    (places.root / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    chapters.close(story, summary, folder / "summary.json")
    expectations.check(summary)


def end(number: int, frame: FrameType | None) -> None:
    """On SIGTERM, leave as on Ctrl-C, so that the processes are stopped."""
    del number, frame
    sys.exit(TERMINATED)


if __name__ == "__main__":
    terminal.run(main)
