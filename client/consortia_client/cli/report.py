"""``consortia report``: what authorities ask an institution for, out of its log alone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from consortia_client.cli.audit_common import (
    BAD,
    UNKNOWN,
    AuditCommand,
    Owners,
    log_paths,
    questions,
    unpacked,
)
from consortia_common import terminal

_LANGUAGE = click.option(
    "--lang", "language", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="The language."
)
_HTML = click.option(
    "--html",
    "html_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page to this file instead, which prints on A4 and needs nothing else.",
)


@click.group()
def report() -> None:
    """Draw up reports for authorities from an institution's log alone.

    The log is verified first, and the report says with which verdict. Exits with 1 if it was tampered with
    or records an access that was not allowed, and with 2 if it can't be verified.
    """


@report.command(cls=AuditCommand)
@log_paths
@_LANGUAGE
@_HTML
@questions
def processing(
    paths: tuple[Path, ...], language: str, html_file: Path | None, owners: Owners, as_json: bool
) -> None:
    """Draw up the record of processing activities (GDPR 30; PIPL 55, 56) from the nodes' LOG….

    For each agreement and purpose: contact, lawful basis, categories of data, recipients, countries, retention, and
    what was really read: jobs, rows, from when to when.
    """
    from consortia_client.log_pages import processing_page
    from consortia_common.audit_verify import attached, find_log
    from consortia_common.log_reports import Processing

    def collector(log: Path, institution: str) -> Processing:
        return Processing(institution, lambda name: attached(find_log(log), name))

    def page(document: dict[str, Any], verified: Any) -> Any:
        return processing_page(document, verified.verdict, language)

    _report(paths, owners, collector, page, html_file, as_json=as_json)


@report.command(cls=AuditCommand)
@log_paths
@click.option("--since", type=click.DateTime(), help="Begin of the time in question, UTC; 72 hours ago by default.")
@click.option("--until", type=click.DateTime(), help="Its end, UTC; now by default.")
@_LANGUAGE
@_HTML
@questions
def incident(
    paths: tuple[Path, ...],
    owners: Owners,
    *,
    since: datetime | None,
    until: datetime | None,
    language: str,
    html_file: Path | None,
    as_json: bool,
) -> None:
    """Draft an incident report (PIPL 57, GDPR 33) from the nodes' LOG….

    What was refused, failed or alarmed in that time, and which data were in use meanwhile. Whether it was an
    incident, its cause, the harm and the measures are for people to add.
    """
    from consortia_client.log_pages import incident_page
    from consortia_common.log_reports import Incident

    end = (until or datetime.now(UTC)).replace(tzinfo=UTC)
    begin = since.replace(tzinfo=UTC) if since else end - timedelta(hours=72)

    def collector(log: Path, institution: str) -> Incident:
        del log
        return Incident(institution, begin, end)

    def page(document: dict[str, Any], verified: Any) -> Any:
        return incident_page(document, verified.verdict, verified.entries, language)

    _report(paths, owners, collector, page, html_file, as_json=as_json)


def _report(
    paths: tuple[Path, ...],
    owners: Owners,
    collector: Callable[[Path, str], Any],
    page: Callable[[dict[str, Any], Any], Any],
    html_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Verify each log, collect from it, and write what was found."""
    from consortia_client import pages
    from consortia_common import keyfiles
    from consortia_common.audit_verify import verify_folder

    documents, made, codes = [], [], []
    with unpacked(paths) as logs:
        for log in logs:
            seen: list[Any] = []

            def see(who: Any, entry: Any, log: Path = log, seen: list[Any] = seen) -> None:
                if not seen:
                    seen.append(collector(log, who.institution))
                seen[0].see(entry)

            verified = verify_folder(log, owners.expected(log), see=see)
            codes.append({"tampered": BAD, "uncovered": BAD, "unverifiable": UNKNOWN}.get(verified.verdict, 0))
            for one in seen:
                documents.append({"log": verified.document(), **one.document()})
                made.append(page(documents[-1], verified))
    if as_json:
        terminal.as_json(documents)
    elif html_file is not None:
        keyfiles.write_file(html_file, "".join(map(pages.as_html, made)).encode())
        terminal.done(f"the report is in {html_file}")
    else:
        click.echo("\n".join(map(pages.as_text, made)), nl=False)
    raise SystemExit(BAD if BAD in codes else max(codes, default=UNKNOWN))
