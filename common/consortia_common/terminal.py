"""What the command line looks like: one way to say done, to show facts and tables, and to explain a refusal.

A person never sees a traceback: an error says what was refused, who is at fault and what to do. Results go to
standard output and everything else to standard error.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from consortia_common.errors import place
from consortia_crypto.errors import ConsortiaError

INTERRUPTED = 130
_ENDLESS = 10_000
"""Columns of a terminal that is as wide as need be."""
_FORMULA = ("=", "+", "-", "@")
"""With which a spreadsheet's formulas begin."""


def out() -> Console:
    """Standard output."""
    return _console(stderr=False)


def err() -> Console:
    """Standard error, for what goes beside a result."""
    return _console(stderr=True)


def done(text: str) -> None:
    """Say that something was done."""
    out().print(Text("✓ ", style="green") + Text(text))


def note(text: str) -> None:
    """Say what a person should know or do next, beside the result."""
    err().print(Text(text, style="yellow"), soft_wrap=True)


def facts(values: Mapping[str, object]) -> None:
    """Show names and values, one pair a line; values are never cut, so fingerprints can be compared."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        out().print(Text(f"{name:<{width}}  ", style="dim") + printable(value), soft_wrap=True)


def mistake(where: str, what: str, line: str, column: int) -> None:
    """Show what is wrong in a text: where, why, and the line with a mark under ``column``, counted from 1."""
    out().print(Text(where, style="bold") + Text(": ") + printable(what), soft_wrap=True)
    if line:
        out().print(Text("  │ ", style="dim") + printable(line), soft_wrap=True)
        out().print(Text("  │ ", style="dim") + Text(" " * (column - 1) + "^", style="red"), soft_wrap=True)


def as_json(value: Any) -> None:
    """Show ``value`` for programs."""
    out().print_json(json.dumps(value), indent=2, highlight=False)


def as_csv(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Show rows as CSV (RFC 4180) under a line of names; what a spreadsheet would take for a formula is quoted."""
    writer = csv.writer(sys.stdout)
    writer.writerow(list(columns))
    writer.writerows([_no_formula(value) for value in row] for row in rows)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]], title: str | None = None) -> None:
    """Show rows under column heads, all of every cell; the first column is never broken over lines."""
    heads = [
        Column(Text(printable(name)), overflow="fold", no_wrap=not place) for place, name in enumerate(columns)
    ]
    grid = Table(*heads, title=Text(printable(title)) if title else None, title_justify="left")
    for row in rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    console = out()
    if console.measure(grid, options=console.options.update(width=_ENDLESS)).maximum > console.width:
        grid.box, grid.padding = box.SIMPLE_HEAD, (0, 1, 0, 0)  # before cells are broken over lines
    console.print(grid)


def explain(error: ConsortiaError) -> None:
    """Say on standard error what was refused, who is at fault and what to do."""
    console = err()
    for label, text, style in (
        ("Refused:   ", error.what, "bold red"),
        ("At fault:  ", error.blame, "bold"),
        ("What to do:", error.remedy, "bold"),
    ):
        console.print(Text(label, style=style) + " " + printable(text), soft_wrap=True)


def run(program: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Run a click command (or its ``main``): a refusal is explained and exits with 1, an interrupt with 130."""
    try:
        return program(*arguments, **options)
    except ConsortiaError as error:
        explain(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        _unexpected(error)


def printable(value: object) -> str:
    """A value as text without what would steer the terminal: it may come from another institution."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value))


def _no_formula(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _unexpected(error: Exception) -> NoReturn:
    explain(
        ConsortiaError(
            f"something unforeseen went wrong: {type(error).__name__} in {place(error)}",
            blame="Consortia itself, most likely",
            remedy="report the command and these lines to whoever maintains Consortia",
        )
    )
    sys.exit(1)


def _console(*, stderr: bool) -> Console:
    return Console(stderr=stderr, highlight=False)
