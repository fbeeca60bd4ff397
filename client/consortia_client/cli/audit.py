"""``consortia audit``: verify logs offline, take copies away, fetch the coordinator's own.

``verify`` exits with 0 (verified), 1 (tampered with, or an access that nothing covers), 2 (unverifiable) or 64
(the command itself was wrong); of several logs, the gravest counts.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click

from consortia_common import terminal

EXIT_USAGE = 64
_MARKS = {"verified": "✓", "unverifiable": "?"}


class _UsageError(click.UsageError):
    """A usage error that can't be taken for a verdict."""

    exit_code = EXIT_USAGE


class _VerifyCommand(click.Command):
    """A command that exits with 64 if it is called wrongly."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """As click's."""
        try:
            return super().make_context(*arguments, **options)
        except click.UsageError as error:
            raise _UsageError(error.format_message(), error.ctx) from error


@click.group()
def audit() -> None:
    """Verify, export and fetch audit logs."""


@audit.command(cls=_VerifyCommand)
@click.argument("paths", nargs=-1, required=True, metavar="PATH…", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Write the reports as JSON.")
@click.option(
    "--fingerprint",
    "fingerprints",
    multiple=True,
    metavar="HEX",
    help="Fingerprint of an owner, learnt from elsewhere; give one for each log.",
)
@click.option(
    "--members",
    "members_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with one line for each owner: INSTITUTION FINGERPRINT.",
)
def verify(
    paths: tuple[Path, ...], as_json: bool, fingerprints: tuple[str, ...], members_file: Path | None
) -> None:
    """Verify logs offline.

    PATH is a log folder, a copy of one, or the folder of a node or coordinator, running or not. No network and no
    secret is needed. Exits with 0 if every log is verified, 1 if one is tampered with or records an
    access that no agreement or consent covers, 2 if one can't be verified, 64 if the command is wrong.
    """
    from consortia_common.audit_verify import EXIT_CODES, verify_folder

    members = _read_members(members_file) if members_file else None
    reports = [verify_folder(path, _expected(path, fingerprints, members)) for path in paths]
    if as_json:
        click.echo(json.dumps({"logs": [report.document() for report in reports]}, indent=2, ensure_ascii=False))
    else:
        for report in reports:
            _show(report)
    codes = {EXIT_CODES[report.verdict] for report in reports}
    sys.exit(1 if 1 in codes else max(codes))


@audit.command()
@click.option(
    "--from",
    "source",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of a node or coordinator, running or not, or a log folder.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new folder for the copy.")
def export(source: Path, out: Path) -> None:
    """Copy a log for somebody else to verify.

    The copy holds every entry so far, the attached documents and the owner's public identity; no secret.
    """
    from consortia_common import audit_copy

    count = audit_copy.export(source, out)
    terminal.done(f"{count} entries copied to {out}")


@audit.command()
@click.option(
    "--profile",
    "profile_folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of a regulator's profile.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new folder for the copy.")
def fetch(profile_folder: Path, out: Path) -> None:
    """Fetch the coordinator's own log.

    Over the network, with a regulator's identity; the institutions' logs are theirs to hand over.
    """
    from consortia_client.profile import Profile
    from consortia_common import audit_copy, rpc
    from consortia_proto.v1 import network_pb2, network_pb2_grpc

    profile = Profile.load(profile_folder)
    with rpc.calling("the coordinator"), profile.channel() as channel:
        stream = network_pb2_grpc.AuditStub(channel).Read(network_pb2.ReadLogRequest())
        count = audit_copy.receive(stream, profile.coordinator, out)
    terminal.done(f"{count} entries of the coordinator's log written to {out}")
    terminal.note(f"Verify it with: consortia audit verify {out} --fingerprint {profile.coordinator.fingerprint}")


@audit.command()
def events() -> None:
    """Print the catalogue of events.

    As a Markdown table; what is not in it can't be written to a log.
    """
    click.echo(catalogue())


def catalogue() -> str:
    """The catalogue as a Markdown table; required fields are bold."""
    from consortia_crypto.audit.events import EVENTS

    lines = ["| event | what it says | fields | kept as |", "|---|---|---|---|"]
    for event in EVENTS.values():
        names = sorted(event.required | event.detail.keys(), key=lambda name: (name not in event.required, name))
        shown = ", ".join(f"**{name}**" if name in event.required else name for name in names)
        lines.append(f"| `{event.name}` | {event.summary} | {shown} | {event.retention} |")
    return "\n".join(lines)


def _read_members(path: Path) -> dict[str, str]:
    lines = [line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    pairs = [words for words in lines if words and not words[0].startswith("#")]
    if any(len(words) != 2 for words in pairs):
        raise _UsageError(f"{path}: each line must be INSTITUTION FINGERPRINT")
    return dict(pairs)


def _expected(path: Path, fingerprints: tuple[str, ...], members: dict[str, str] | None) -> str | None:
    """The fingerprint that the log in ``path`` must have; None if none was given at all."""
    from consortia_common import keyfiles
    from consortia_common.audit_verify import find_log
    from consortia_common.errors import CommonError

    if not fingerprints and members is None:
        return None
    try:
        owner = keyfiles.load_public_identity(find_log(path).identity)
    except CommonError:
        return ""
    known = {*fingerprints, (members or {}).get(owner.institution, "")}
    return owner.fingerprint if owner.fingerprint in known else ""


def _show(report: Any) -> None:
    """One report, for a person to read."""
    mark = _MARKS.get(report.verdict, "✗")
    terminal.out().print(
        f"{mark} {report.institution or report.path}: {report.verdict}", markup=False, style="bold"
    )
    terminal.facts(
        {
            "log": report.path,
            "entries": f"{report.entries} intact, the last of {report.last_time or 'no time'}",
            "accesses": f"{report.accesses_covered} covered, {report.accesses_uncovered} not covered",
            "rows": f"{report.rows_used} used, {report.rows_left_out} left out",
            "owner's key": f"{report.fingerprint or 'unknown'} ({_key_source(report)})",
        }
    )
    for finding in report.findings[:10]:
        where = f"entry {finding.entry}" if finding.entry is not None else "the log"
        when = finding.time or (f"after {finding.after}" if finding.after else "")
        line = " ".join(filter(None, [f"  {finding.verdict} at {where}", when])) + f": {finding.cause}"
        terminal.out().print(line, markup=False, style="red", soft_wrap=True)
    if not report.key_confirmed and report.fingerprint:
        terminal.note("The key was taken from the log's own folder: compare the fingerprint with its owner.")


def _key_source(report: Any) -> str:
    return "as expected" if report.key_confirmed else "taken from the log's folder"
