"""``consortia audit prove | fsck | monitor``: an entry's proof, the state of a log's files, a log over time."""

import functools
import threading
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import click

from consortia_client.cli.audit_common import (
    BAD,
    UNKNOWN,
    AuditCommand,
    UsageError,
    answer,
    gravest,
    line,
    log_path,
)
from consortia_common import terminal

_JSON = click.option("--json", "as_json", is_flag=True, help="Write the answer as JSON.")


@click.command(cls=AuditCommand)
@log_path
@click.argument("entry", type=click.IntRange(min=0))
@click.option(
    "--out", type=click.Path(path_type=Path), help="The new file for the proof; the entry goes beside it."
)
@_JSON
def prove(path: Path, entry: int, out: Path | None, as_json: bool) -> None:
    """Prove that ENTRY is in the log at LOG.

    The proof (C2SP tlog-proof) holds the signed checkpoint and the hashes that lead to it, and tells nothing of the
    other entries. With --out FILE.tlog-proof, the entry is written to FILE.json; `consortia audit verify
    FILE.tlog-proof --policy POLICY` checks the two.
    """
    from consortia_common import audit_prove, keyfiles
    from consortia_common.audit_verify import find_log

    proof, raw = audit_prove.prove(find_log(path), entry)
    if out is not None:
        keyfiles.write_file(out, proof.raw)
        keyfiles.write_file(out.with_suffix(".json"), raw)
    document = {"entry": entry, "raw": raw.decode(), "proof": proof.raw.decode()}
    show = f"entry {entry} is proved by {out}" if out else proof.raw.decode()
    answer(0, as_json, document, lambda: terminal.done(show) if out else click.echo(show, nl=False))


@click.command(cls=AuditCommand)
@log_path
@click.option("--rebuild", is_flag=True, help="Make missing and wrong tiles again from the entries.")
@_JSON
def fsck(path: Path, rebuild: bool, as_json: bool) -> None:
    """Check the files of the log at LOG.

    Records, tiles, documents, file modes, and what a crash left behind. Exits with 1 if evidence is lost or
    altered, with 2 if something is missing that can be made again or ignored.
    """
    from consortia_common import audit_fsck
    from consortia_common.audit_verify import find_log

    folder = find_log(path)
    rebuilt = sum(map(audit_fsck.rebuild, folder.shards())) if rebuild else 0
    faults = audit_fsck.check(folder)
    document = {"log": str(path), "rebuilt": rebuilt, "faults": [fault.document() for fault in faults]}
    code = gravest(BAD if fault.harm else UNKNOWN for fault in faults)
    answer(code, as_json, document, lambda: _show_faults(faults, rebuilt))


@click.command(cls=AuditCommand)
@click.argument("path", metavar="[LOG]", required=False, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--profile",
    "profile_folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Follow the coordinator's log over the network, with this regulator's profile.",
)
@click.option(
    "--state",
    "state_file",
    required=True,
    type=click.Path(path_type=Path),
    help="What is remembered between visits.",
)
@click.option("--every", type=click.IntRange(min=1), metavar="SECONDS", help="Go on visiting; else visit once.")
@_JSON
def monitor(
    path: Path | None, profile_folder: Path | None, state_file: Path, every: int | None, as_json: bool
) -> None:
    """Follow the log at LOG: that it only grows, and goes on saying so.

    Exits with 1 as soon as what the log signs does not follow from what it had signed (both are kept beside the
    state file), with 2 if it has been silent for longer than its heartbeat.
    """
    if (path is None) == (profile_folder is None):
        raise UsageError("give a log's folder, or --profile for the coordinator's log")
    for number in count():
        if number:
            threading.Event().wait(every)
        visited = _visit(path, profile_folder, state_file)
        if every is None or visited.seen == "contradiction":
            code = {"contradiction": BAD, "silent": UNKNOWN}.get(visited.seen, 0)
            answer(code, as_json, visited.document(), functools.partial(_show_visit, visited))
        _show_visit(visited)


def _visit(path: Path | None, profile_folder: Path | None, state_file: Path) -> Any:
    """One visit; remembers what was seen, or keeps the evidence that it can't be."""
    from consortia_common import audit_monitor
    from consortia_common.audit_verify import find_log

    now = datetime.now(UTC)
    state = audit_monitor.State.load(state_file)
    if path is not None:
        visited = audit_monitor.visit_folder(find_log(path), state, now)
    else:
        visited = _visit_coordinator(profile_folder or Path(), state, now)
    if visited.state is not None:
        visited.state.store(state_file)
    for kept in (
        audit_monitor.keep_evidence(state_file.parent / "evidence", visited, now) if visited.evidence else ()
    ):
        terminal.note(f"evidence: {kept}")
    return visited


def _visit_coordinator(profile_folder: Path, state: Any, now: datetime) -> Any:
    from consortia_client.profile import Profile
    from consortia_common import audit_monitor, rpc
    from consortia_proto.v1 import network_pb2, network_pb2_grpc

    profile = Profile.load(profile_folder)
    with rpc.calling("the coordinator"), profile.channel() as channel:
        stub = network_pb2_grpc.AuditStub(channel)
        return audit_monitor.visit_sender(
            profile.coordinator,
            lambda start: stub.Read(network_pb2.ReadLogRequest(from_entry=start)),
            state,
            now,
        )


def _show_faults(faults: list[Any], rebuilt: int) -> None:
    if rebuilt:
        terminal.done(f"{rebuilt} tiles and bundles made again")
    for fault in faults:
        where = f" (entry {fault.entry})" if fault.entry is not None else ""
        line(f"{'✗' if fault.harm else '?'} {fault.path}{where}: {fault.cause}", "red" if fault.harm else "yellow")
    if not faults:
        terminal.done("all files are in order")


def _show_visit(visited: Any) -> None:
    marks = {"contradiction": "✗", "silent": "?"}
    text = f"{marks.get(visited.seen, '✓')} {visited.seen}: {visited.size} entries, {visited.added} new"
    line(f"{text}: {visited.cause}" if visited.cause else text)
