"""``consortia audit stamp`` and ``stamps``: an authority outside the network says when a log had come how far."""

from pathlib import Path
from typing import Any

import click

from consortia_client.cli.audit_common import BAD, UNKNOWN, AuditCommand, answer, gravest, headline, line, log_path

_ROOTS = click.option(
    "--roots",
    "roots_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The root certificates of the authorities to believe, PEM, learnt from elsewhere.",
)
_CODES = {"verified": 0, "tampered": BAD, "unverifiable": UNKNOWN}


@click.command(cls=AuditCommand)
@log_path
@click.option("--url", required=True, help="Where the time-stamp authority listens (RFC 3161 over HTTP).")
@_ROOTS
def stamp(path: Path, url: str, roots_file: Path) -> None:
    """Have the newest checkpoint of the log at LOG stamped.

    LOG is a log folder, or the folder of a node or coordinator, running or not. The authority is sent a hash only.
    """
    from consortia_common import audit_timestamps
    from consortia_common.audit_verify import find_log

    made = audit_timestamps.stamp(
        find_log(path), audit_timestamps.over_http(url), audit_timestamps.read_roots(roots_file)
    )
    line(f"✓ the first {made.size} entries are stamped with {made.time}")


@click.command(cls=AuditCommand)
@log_path
@_ROOTS
@click.option("--json", "as_json", is_flag=True, help="Write the answer as JSON.")
def stamps(path: Path, roots_file: Path, as_json: bool) -> None:
    """Verify the timestamps of the log at LOG offline.

    Exits with 0 if all hold, 1 if one is of other entries than the log has now, 2 if one can't be verified.
    """
    from consortia_common import audit_timestamps
    from consortia_common.audit_verify import find_log

    found = audit_timestamps.check(find_log(path), audit_timestamps.read_roots(roots_file))
    document = [{**vars(one), "verdict": str(one.verdict)} for one in found]
    answer(gravest(_CODES[one.verdict] for one in found), as_json, {"timestamps": document}, lambda: _show(found))


def _show(found: list[Any]) -> None:
    for one in found:
        headline(f"{one.size} entries by {one.time or 'no time'}", str(one.verdict))
        if one.cause:
            line(f"  {one.cause}", style="red")
    if not found:
        line("The log has no timestamps.")
