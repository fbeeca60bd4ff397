"""``consortia NOUN …``: finds each noun by its entry point and loads it only when it is used.

So help is instant, and a noun whose libraries are not installed harms no other: it says which extra brings them.
"""

from importlib.metadata import EntryPoint, entry_points, version
from typing import Any

import click

from consortia_client.errors import MissingExtraError
from consortia_common import terminal

GROUP = "consortia.commands"
NOUNS = {
    "agreement": "Draft, sign, suspend and end data-sharing agreements.",
    "audit": "Verify, question, follow and export audit logs.",
    "consent": "Import, change and look up customers' consent.",
    "coordinator": "Run a network's coordinator.",
    "dataset": "Describe the tables that jobs may read, and check them.",
    "job": "Submit, approve and follow jobs, read results and receipts.",
    "model": "Keep the models that a node owns.",
    "network": "Make a network and invite members.",
    "node": "Set up and run an institution's node.",
    "report": "Draw up reports for authorities from an institution's log.",
    "subject": "Show what is kept about a customer, and erase customers.",
    "user": "Make a person's profile and enrol it.",
}
"""What each noun is for, so that help needs none of them loaded."""
EXTRAS = {"coordinator": "coordinator", "network": "coordinator"}
"""The extra that brings a noun's libraries, where it is not ``node``."""


class Nouns(click.Group):
    """A group whose commands are found by entry points, and whose errors are explained to a person."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The nouns that are installed."""
        del ctx
        return sorted(entry.name for entry in entry_points(group=GROUP))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The noun's command, loaded now; None if there is no such noun."""
        del ctx
        for entry in entry_points(group=GROUP, name=cmd_name):
            return _load(entry)
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the nouns without loading any."""
        rows = [(noun, NOUNS.get(noun, "An extension.")) for noun in self.list_commands(ctx)]
        with formatter.section("Nouns"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a noun's command; a library that is missing becomes a sentence."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            raise _absence(ctx.invoked_subcommand or "", error) from error

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run as a program; see terminal.run."""
        return terminal.run(super().main, *arguments, **options)


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("consortia"), prog_name="consortia")
def main() -> None:
    """Joint answers from several institutions' customers, from data that never leave home.

    Every noun has its own commands: `consortia NOUN --help` lists them.
    """


def _load(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
    except ModuleNotFoundError as error:
        raise _absence(entry.name, error) from error
    if not isinstance(command, click.Command):
        raise MissingExtraError(
            f"`consortia {entry.name}` is not a command",
            blame="the package that offers it",
            remedy=f"remove or repair the package of {entry.value}",
        )
    return command


def _absence(noun: str, error: ModuleNotFoundError) -> Exception:
    """What a library that was not found means; our own packages are always there, so theirs is a defect."""
    if (error.name or "").startswith("consortia_"):
        return error
    return MissingExtraError(
        f"`consortia {noun}` needs the library {error.name}, which is not installed",
        blame="this installation, which lacks an extra",
        remedy=f'run: pip install "consortia[{EXTRAS.get(noun, "node")}]"',
    )
