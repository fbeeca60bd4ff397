"""``consortia audit reconcile | timeline | why | gaps``: questions that verified logs answer."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from consortia_client.cli.audit_common import (
    BAD,
    UNKNOWN,
    AuditCommand,
    Owners,
    UsageError,
    answer,
    gravest,
    headline,
    line,
    log_path,
    log_paths,
    questions,
    unpacked,
)
from consortia_common import terminal


@click.command(cls=AuditCommand)
@log_paths
@questions
def reconcile(paths: tuple[Path, ...], owners: Owners, as_json: bool) -> None:
    """Compare the logs at LOG…: what one tells and another left out.

    Give two or more logs, the coordinator's among them or not; copies made at the same time tell most. Exits with 1
    if a log lacks an entry that others prove, or says something else, with 2 if a copy ends too early to tell.
    """
    from consortia_common.audit_reconcile import Lack, Ledger, compare

    ledgers: dict[str, Ledger] = {}
    with unpacked(paths) as logs:
        if len(logs) < 2:
            raise UsageError("there must be at least two logs to compare")
        reports = [
            _read(log, owners, lambda who, entry: _ledger(ledgers, who.institution).see(entry)) for log in logs
        ]
    for report in reports:
        _ledger(ledgers, report.institution).seen_until = report.signed_time
    found = compare(ledgers.values())
    bad = BAD if found.of(Lack.OMITTED, Lack.DIFFERS) else 0
    early = UNKNOWN if found.of(Lack.ENDS_BEFORE) else 0
    code = gravest([bad, early, *map(_code, reports)])
    document = {
        "logs": [report.document() for report in reports],
        "matched": dict(found.matched),
        "lacks": [item.document() for item in found.lacks],
    }
    answer(code, as_json, document, lambda: _show_comparison(reports, found))


@click.command(cls=AuditCommand)
@click.argument("whom", metavar="SUBJECT|JOB")
@log_paths
@questions
def timeline(whom: str, paths: tuple[Path, ...], owners: Owners, as_json: bool) -> None:
    """Tell what happened to one customer or in one job.

    SUBJECT is a customer's pseudonym, as `consortia consent show` prints it; JOB a job's id. A customer's
    timeline is read from one institution's LOG; a job's may be read from the LOGs of all who took part.
    """
    from consortia_common.audit_timeline import Timeline

    told = Timeline(whom)
    with unpacked(paths) as logs:
        reports = [_read(log, owners, lambda who, entry: told.see(who.institution, entry)) for log in logs]
    moments = told.moments()
    code = gravest([0 if moments else UNKNOWN, *map(_code, reports)])
    document = {
        "whom": whom,
        "logs": [report.document() for report in reports],
        "moments": [moment.document() for moment in moments],
    }
    answer(code, as_json, document, lambda: _show_timeline(whom, reports, moments))


@click.command(cls=AuditCommand)
@click.argument("job", metavar="JOB")
@log_paths
@questions
def why(job: str, paths: tuple[Path, ...], owners: Owners, as_json: bool) -> None:
    """Say why an institution took part in the job JOB, or did not.

    The gate's rules are run again over what its LOG says that the node knew when it decided. Exits with 1 if they
    would have decided otherwise, with 2 if that can't be said.
    """
    from consortia_common.audit_verify import attached, find_log
    from consortia_common.audit_why import Why

    reports, told = [], []
    with unpacked(paths) as logs:
        for log in logs:
            folder = find_log(log)
            asked: dict[str, Why] = {}

            def see(who: Any, entry: Any, asked: dict[str, Why] = asked, folder: Any = folder) -> None:
                if "why" not in asked:
                    asked["why"] = Why(job, who.network, who.institution, lambda name: attached(folder, name))
                asked["why"].see(entry)

            reports.append(_read(log, owners, see))
            told += asked["why"].explanations if asked else []
    codes = [{True: 0, False: BAD, None: UNKNOWN}[item.agrees] for item in _own(told)] or [UNKNOWN]
    document = {
        "job": job,
        "logs": [report.document() for report in reports],
        "decisions": [item.document() for item in told],
    }
    answer(gravest([*codes, *map(_code, reports)]), as_json, document, lambda: _show_why(job, reports, told))


@click.command(cls=AuditCommand)
@log_path
@click.option("--live", is_flag=True, help="The log is being written now: ask for a heartbeat of these minutes.")
@questions
def gaps(path: Path, live: bool, owners: Owners, as_json: bool) -> None:
    """Say what is missing within the log at LOG.

    Entries that can't stand alone, a clock that went back, beginnings without an end, absence, and heartbeats that
    were missed at any time of the log's life.
    Exits with 1 if something must have been left out, with 2 if something has begun and not ended.
    """
    from consortia_common.audit_gaps import Gaps, Gravity

    told = Gaps()
    with unpacked([path]) as (log, *_):
        report = _read(log, owners, lambda _, entry: told.see(entry))
    signed = datetime.fromisoformat(report.signed_time) if report.signed_time else None
    found = told.found(signed, datetime.now(UTC) if live else None)
    grave = {Gravity.FAULT: BAD, Gravity.OPEN: UNKNOWN, Gravity.NOTE: 0}
    code = gravest([_code(report), *(grave[gap.gravity] for gap in found)])
    document = {"log": report.document(), "gaps": [gap.document() for gap in found]}
    answer(code, as_json, document, lambda: _show_gaps(report, found))


def _ledger(ledgers: dict[str, Any], institution: str) -> Any:
    from consortia_common.audit_reconcile import Ledger

    return ledgers.setdefault(institution, Ledger(institution))


def _read(log: Path, owners: Owners, see: Any) -> Any:
    """Verify a log, and show ``see`` every entry that is proved."""
    from consortia_common.audit_verify import verify_folder

    return verify_folder(log, owners.expected(log), see=see)


def _code(report: Any) -> int:
    """The exit code for a log as such; whether its accesses were allowed is not asked here."""
    return {"tampered": BAD, "unverifiable": UNKNOWN}.get(report.verdict, 0)


def _own(told: list[Any]) -> list[Any]:
    """The decisions that can be made again, or all if none can."""
    return [item for item in told if item.replayed] or told


def _show_reports(reports: Iterable[Any]) -> None:
    for report in reports:
        headline(report.institution or report.path, report.verdict)
        if report.findings:
            line(f"  {report.summary}", "red")


def _show_comparison(reports: list[Any], found: Any) -> None:
    from consortia_common.audit_exchanges import EXCHANGES
    from consortia_common.audit_reconcile import Lack

    _show_reports(reports)
    rows = [(EXCHANGES[name].summary, count) for name, count in sorted(found.matched.items())]
    terminal.table(("both sides tell that", "times"), rows)
    for item in found.of(Lack.OMITTED, Lack.DIFFERS):
        line(f"✗ {item.sentence}", "red")
    for item in found.of(Lack.ENDS_BEFORE):
        line(f"? {item.sentence}; this copy ends before that", "yellow")
    waiting = found.of(Lack.UNDER_WAY, Lack.GIVEN_UP)
    if waiting:
        line(f"{len(waiting)} messages had not arrived when their job failed, or are on their way")
    if not found.of(Lack.OMITTED, Lack.DIFFERS, Lack.ENDS_BEFORE):
        terminal.done("nothing was left out")


def _show_timeline(whom: str, reports: list[Any], moments: list[Any]) -> None:
    _show_reports(reports)
    for moment in moments:
        line(f"{moment.time}  {moment.institution} {moment.entry:>6}  {moment.event:<20} {moment.text}")
        if moment.bearing:
            line(f"{'':>26}{moment.bearing}", "dim")
    if not moments:
        terminal.note(f"None of these logs names {whom}.")


def _show_why(job: str, reports: list[Any], told: list[Any]) -> None:
    _show_reports(reports)
    if not told:
        terminal.note(f"None of these logs tells of a decision on {job}.")
    for item in told:
        verb = {"accept": "accepted", "refuse": "refused"}.get(item.decision, item.decision)
        line(f"{item.institution} {verb} {job} at {item.time} (entry {item.entry})", "bold")
        facts = {"kind": item.kind, "purpose": item.purpose, "agreement": item.agreement, "asked by": item.analyst,
                 "clause": item.clause, "reason": item.reason, "ended": item.ending}  # fmt: skip
        terminal.facts({name: value for name, value in facts.items() if value})
        for ruling in item.rulings:
            line(f"  {'✗' if ruling.objection else '✓'} {ruling.rule:<12} {ruling.objection}".rstrip())
        for access in item.accesses:
            line(
                f"  {'✓' if access['allowed'] else '✗'} entry {access['entry']}: {access['rows_used']} rows of "
                f"{access['dataset']} used, {access['rows_left_out']} left out {access['objection']}".rstrip()
            )
        _show_replay(item)


def _show_replay(item: Any) -> None:
    if item.agrees is None:
        line(f"? not decided again: {item.why_not or 'it rests on what is not on the log'}", "yellow")
    elif item.agrees:
        terminal.done(f"the rules decide the same again: {item.replayed}")
    else:
        line(f"✗ the rules decide otherwise: {item.replayed}", "red")


def _show_gaps(report: Any, found: list[Any]) -> None:
    _show_reports([report])
    styles = {"fault": "red", "open": "yellow", "note": "dim"}
    for gap in found:
        line(f"{gap.gravity:<5}  entry {gap.entry} {gap.time}: {gap.cause}", styles[gap.gravity])
    if not found:
        terminal.done("no gaps")
