"""What the commands of ``consortia audit`` share: exit codes, whose log is meant, one way to read and to answer.

Each command exits with 0 (all is well), 1 (tampered with, left out, or not allowed), 2 (it can't be said) or 64
(the command itself was wrong); of several logs, the gravest counts.
"""

import functools
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from consortia_common import terminal
from consortia_crypto.errors import ConsortiaError

BAD, UNKNOWN, USAGE = 1, 2, 64
_MARKS = {"verified": "✓", "unverifiable": "?"}
Command = TypeVar("Command", bound=Callable[..., Any])


class UsageError(click.UsageError):
    """A usage error that can't be taken for a verdict."""

    exit_code = USAGE


class AuditCommand(click.Command):
    """A command that exits with 64 if it is called wrongly, and with 2 if it can't do its work."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """As click's."""
        try:
            return super().make_context(*arguments, **options)
        except click.UsageError as error:
            raise UsageError(error.format_message(), error.ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """As click's."""
        try:
            return super().invoke(ctx)
        except ConsortiaError as error:
            if ctx.params.get("as_json"):
                refusal = {"refused": error.what, "blame": error.blame, "remedy": error.remedy}
                click.echo(json.dumps(refusal, indent=2, ensure_ascii=False))
            terminal.explain(error)
            sys.exit(UNKNOWN)


class Owners:
    """Whose logs are expected: fingerprints learnt from elsewhere, for all or by institution."""

    def __init__(self, fingerprints: Iterable[str] = (), members_file: Path | None = None) -> None:
        self._fingerprints = frozenset(fingerprints)
        self._members = _read_members(members_file) if members_file else None

    def expected(self, path: Path) -> str | None:
        """The fingerprint that the log in ``path`` must have; None if none was given at all."""
        from consortia_common import keyfiles
        from consortia_common.audit_verify import find_log
        from consortia_common.errors import CommonError

        if not self._fingerprints and self._members is None:
            return None
        try:
            owner = keyfiles.load_public_identity(find_log(path).identity)
        except CommonError:
            return ""
        known = self._fingerprints | {(self._members or {}).get(owner.institution, "")}
        return owner.fingerprint if owner.fingerprint in known else ""


def questions(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that reads logs; the command is given ``owners`` and ``as_json``."""

    @functools.wraps(command)
    def asked(fingerprints: tuple[str, ...], members_file: Path | None, **options: Any) -> Any:
        return command(owners=Owners(fingerprints, members_file), **options)

    for option in (
        click.option("--json", "as_json", is_flag=True, help="Write the answer as JSON."),
        click.option(
            "--fingerprint",
            "fingerprints",
            multiple=True,
            metavar="HEX",
            help="Fingerprint of an owner, learnt from elsewhere; give one for each log.",
        ),
        click.option(
            "--members",
            "members_file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="A file with one line for each owner: INSTITUTION FINGERPRINT.",
        ),
    ):
        asked = option(asked)
    return asked


def log_paths(command: Command) -> Command:
    """The logs that a command reads."""
    path = click.Path(exists=True, path_type=Path)
    return click.argument("paths", nargs=-1, required=True, metavar="LOG…", type=path)(command)


def log_path(command: Command) -> Command:
    """The one log that a command reads."""
    return click.argument("path", metavar="LOG", type=click.Path(exists=True, path_type=Path))(command)


@contextmanager
def unpacked(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """The logs at ``paths``, of which each may also be an export: its logs, unpacked for as long as this lasts."""
    with tempfile.TemporaryDirectory() as scratch:
        yield [log for number, path in enumerate(paths) for log in _logs(path, Path(scratch) / str(number))]


def answer(code: int, as_json: bool, document: Any, show: Callable[[], None]) -> None:
    """Write the answer for a program or a person, and exit with ``code``."""
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        show()
    sys.exit(code)


def gravest(codes: Iterable[int]) -> int:
    """The exit code of several answers together."""
    found = set(codes)
    return BAD if BAD in found else max(found, default=0)


def headline(name: object, verdict: str) -> None:
    """One line with the verdict on one log."""
    terminal.out().print(f"{_MARKS.get(verdict, '✗')} {name}: {verdict}", markup=False, style="bold")


def line(text: str, style: str = "") -> None:
    """One line of an answer, never cut."""
    terminal.out().print(text, markup=False, style=style, soft_wrap=True)


def _logs(path: Path, scratch: Path) -> list[Path]:
    if path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(scratch)
        path = scratch
    exported = sorted(path.glob("logs/*/identity.json"))
    return [identity.parent for identity in exported] or [path]


def _read_members(path: Path) -> dict[str, str]:
    lines = [line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    pairs = [words for words in lines if words and not words[0].startswith("#")]
    if any(len(words) != 2 for words in pairs):
        raise UsageError(f"{path}: each line must be INSTITUTION FINGERPRINT")
    return dict(pairs)
