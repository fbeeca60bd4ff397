"""``consortia audit``: verify logs offline, ask them questions, take copies away, fetch the coordinator's own."""

from pathlib import Path
from typing import Any

import click

from consortia_client.cli.audit_common import (
    AuditCommand,
    Owners,
    UsageError,
    answer,
    gravest,
    headline,
    line,
    log_paths,
    questions,
    unpacked,
)
from consortia_client.cli.audit_files import fsck, monitor, prove
from consortia_client.cli.audit_questions import gaps, reconcile, timeline, why
from consortia_client.cli.audit_timestamps import stamp, stamps
from consortia_client.cli.audit_witnesses import acknowledge, forget, policy
from consortia_common import terminal
from consortia_common.audit_verify import EXIT_CODES, verify_folder
from consortia_crypto.audit.policy import Policy
from consortia_crypto.audit.proof import LogProof

CONSENT_PROOF = ".consent-proof"


@click.group()
def audit() -> None:
    """Verify, question, follow and export audit logs."""


for command in (acknowledge, forget, fsck, gaps, monitor, policy, prove, reconcile, stamp, stamps, timeline, why):
    audit.add_command(command)


@audit.command(cls=AuditCommand)
@log_paths
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Whose cosignatures a checkpoint must have (C2SP tlog-policy).",
)
@click.option("--selftest", is_flag=True, help="Harm a copy of each log in many ways; each must be caught.")
@click.option(
    "--ways", default=500, show_default=True, type=click.IntRange(min=1), help="How many, for --selftest."
)
@questions
def verify(
    paths: tuple[Path, ...],
    policy_file: Path | None,
    selftest: bool,
    ways: int,
    owners: Owners,
    as_json: bool,
) -> None:
    """Verify logs offline.

    LOG is a log folder, a copy of one, an export, or the folder of a node or coordinator, running or not; or a
    proof, which needs --policy: FILE.tlog-proof, with the entry in FILE.json beside it, or FILE.consent-proof
    (`consortia consent prove`). No network and no secret is needed. Exits with 0 if all is verified, 1 if a log is
    tampered with or records an access that no agreement or consent covers, 2 if one can't be verified, 64 if the
    command is wrong.
    """
    policy = _read_policy(policy_file)
    with unpacked([path for path in paths if not _is_proof(path)]) as logs:
        if selftest:
            _selftest(logs, ways, as_json)
        reports = [verify_folder(path, owners.expected(path), policy=policy) for path in logs]
    proofs = [
        _check_consent(path, policy) if path.suffix == CONSENT_PROOF else _check_proof(path, policy)
        for path in paths
        if _is_proof(path)
    ]
    document = {"logs": [report.document() for report in reports]} | ({"proofs": proofs} if proofs else {})
    codes = [EXIT_CODES[report.verdict] for report in reports] + [
        0 if proof["cause"] == "" else 1 for proof in proofs
    ]
    answer(gravest(codes), as_json, document, lambda: _show(reports, proofs))


@audit.command(cls=AuditCommand)
@click.option(
    "--from",
    "sources",
    required=True,
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of a node or coordinator, running or not, or a log folder; several for a zip file.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new zip file, or folder.")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The witness policy to put into the zip file.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the answer as JSON.")
def export(sources: tuple[Path, ...], out: Path, policy_file: Path | None, as_json: bool) -> None:
    """Copy logs for somebody else to verify.

    A zip file (`--out` ends in .zip) holds the logs, their tiles, proofs, the policy, the public keys, and
    verify.py, which checks all of it with nothing but Python. A folder holds one log, as it lies on disk. No
    secret is copied.
    """
    from consortia_common import audit_copy, audit_export

    is_zip = out.suffix == ".zip"
    if not is_zip and (len(sources) > 1 or policy_file):
        raise UsageError("several logs, or a policy, go into a zip file only: let --out end in .zip")
    if is_zip:
        count = audit_export.export_zip(sources, out, policy_file.read_bytes() if policy_file else None)
    else:
        count = audit_copy.export(sources[0], out)
    answer(
        0, as_json, {"out": str(out), "entries": count}, lambda: terminal.done(f"{count} entries copied to {out}")
    )


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
    from consortia_common import audit_fetch, rpc
    from consortia_proto.v1 import network_pb2, network_pb2_grpc

    profile = Profile.load(profile_folder)
    with rpc.calling("the coordinator"), profile.channel() as channel:
        stream = network_pb2_grpc.AuditStub(channel).Read(network_pb2.ReadLogRequest())
        count = audit_fetch.receive(stream, profile.coordinator, out)
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


def _read_policy(path: Path | None) -> Policy | None:
    return Policy.parse(path.read_bytes()) if path else None


def _is_proof(path: Path) -> bool:
    return path.suffix in {".tlog-proof", CONSENT_PROOF}


def _check_proof(path: Path, policy: Policy | None) -> dict[str, Any]:
    """Whether a proof shows that the entry beside it is in a log of the policy."""
    if policy is None or not path.with_suffix(".json").is_file():
        raise UsageError(
            f"{path}: a proof needs --policy, and the entry in {path.with_suffix('.json').name} beside it"
        )
    proof = LogProof.parse(path.read_bytes())
    judgement = proof.judge(path.with_suffix(".json").read_bytes(), policy)
    origin = judgement.signed.checkpoint.origin if judgement.signed else ""
    return {"proof": str(path), "entry": proof.index, "origin": origin, "cause": judgement.cause}


def _check_consent(path: Path, policy: Policy | None) -> dict[str, Any]:
    """Whether a proof shows that an access in a log of the policy relied on the consent record in it."""
    from consortia_common import keyfiles
    from consortia_common.consent_proof import ConsentProof

    if policy is None:
        raise UsageError(f"{path}: a proof needs --policy")
    proof = ConsentProof.parse(keyfiles.read_file(path))
    return {"proof": str(path), **proof.judge(policy).document()}


def _selftest(logs: list[Path], ways: int, as_json: bool) -> None:
    """Answer the self-test of the logs, and exit."""
    from consortia_common import audit_selftest

    tests = [(path, audit_selftest.run(path, ways)) for path in logs]
    document = [{"log": str(path), "tried": dict(test.tried), "missed": list(test.missed)} for path, test in tests]
    code = gravest(1 if test.missed else 0 for _, test in tests)
    answer(code, as_json, {"selftests": document}, lambda: _show_selftests(tests))


def _show_selftests(tests: list[tuple[Path, Any]]) -> None:
    for path, test in tests:
        terminal.table(("harm done to a copy", "times"), sorted(test.tried.items()), str(path))
        for missed in test.missed:
            line(f"✗ not caught: {missed}", "red")
        line(f"{'✗' if test.missed else '✓'} {test.total - len(test.missed)} of {test.total} caught")


def _show(reports: list[Any], proofs: list[dict[str, Any]]) -> None:
    for report in reports:
        _show_one(report)
    for proof in proofs:
        line(
            f"✗ {proof['proof']}: {proof['cause']}"
            if proof["cause"]
            else f"✓ entry {proof['entry']} of {proof['origin']}"
        )


def _show_one(report: Any) -> None:
    """One report, for a person to read."""
    headline(report.institution or report.path, report.verdict)
    terminal.facts(
        {
            "log": report.path,
            "entries": f"{report.entries} intact, the last of {report.last_time or 'no time'}",
            "accesses": f"{report.accesses_covered} covered, {report.accesses_uncovered} not covered",
            "rows": f"{report.rows_used} used, {report.rows_left_out} left out",
            "fingerprints": f"{report.confirmations} confirmed by officers' signatures",
            "checkpoint": _checkpoint(report),
            "owner's key": f"{report.fingerprint or 'unknown'} ({_key_source(report)})",
        }
    )
    for finding in report.findings[:10]:
        where = f"entry {finding.entry}" if finding.entry is not None else "the log"
        when = finding.time or (f"after {finding.after}" if finding.after else "")
        line(" ".join(filter(None, [f"  {finding.verdict} at {where}", when])) + f": {finding.cause}", "red")
    if not report.key_confirmed and report.fingerprint:
        terminal.note("The key was taken from the log's own folder: compare the fingerprint with its owner.")


def _key_source(report: Any) -> str:
    return "as expected" if report.key_confirmed else "taken from the log's folder"


def _checkpoint(report: Any) -> str:
    if report.checkpoint is None:
        return "none that is good"
    return f"{report.checkpoint} entries" + (f", signed at {report.signed_time}" if report.signed_time else "")
