"""How the demo speaks: headed steps, and under each what was kept, what travelled, what was refused or proved.

Every remark is one of these kinds, so that a reader can follow one of them through the whole story. Works on a
terminal (with a spinner while something runs) and in a plain log (with a line when it starts).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table

_KINDS = {
    "noted": "bold",
    "kept": "green",
    "travelled": "cyan",
    "refused": "yellow",
    "proved": "magenta",
}
_INDENT = 2
_LABEL = 11


@dataclass
class Story:
    """What is told, and how long each step took (in ``seconds``, by the step's key)."""

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    _stage: str = ""

    def say(self, text: str) -> None:
        """A paragraph of explanation."""
        self.console.print(Padding(text, (0, 0, 0, _INDENT)))

    def remark(self, kind: str, text: str) -> None:
        """One line of a kind: noted, kept, travelled, refused, proved."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=_LABEL, style=_KINDS[kind])
        grid.add_column()
        grid.add_row(kind, text)
        self.console.print(Padding(grid, (0, 0, 0, _INDENT)))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table whose first column is text and whose others are right-aligned."""
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        self.console.print(Padding(table, (0, 0, 0, _INDENT)))

    def facts(self, pairs: Iterable[tuple[str, str]]) -> None:
        """What is called what, line by line."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold")
        grid.add_column()
        for name, value in pairs:
            grid.add_row(name, value)
        self.console.print(Padding(grid, (1, 0, 1, 2 * _INDENT)))

    @contextmanager
    def step(self, key: str, heading: str) -> Iterator[None]:
        """A step of the story; its duration is kept under ``key``."""
        self.steps += 1
        self.console.print()
        self.console.print(Rule(f"[bold]{self.steps}  {heading}", align="left"))
        started = time.monotonic()
        yield
        self.seconds[key] = round(time.monotonic() - started, 2)

    @contextmanager
    def working(self, text: str) -> Iterator[Callable[[str], None]]:
        """While something runs; yields a function that says how far it is."""
        if not self.console.is_terminal:
            self.say(f"[dim]… {text}")
            yield self._say_once
            return
        with self.console.status(text) as status:
            yield lambda stage: status.update(f"{text}: {stage}")

    def _say_once(self, stage: str) -> None:
        """Say how far something is, unless it was the last thing said of it."""
        if stage != self._stage:
            self._stage = stage
            self.say(f"[dim]  {stage}")


def minute(moment: str) -> str:
    """A moment in ISO 8601, as nodes tell it, for a reader."""
    return f"{moment[:10]} {moment[11:16]} UTC"


def size(count: int) -> str:
    """A number of bytes for a reader."""
    for unit, scale in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"
