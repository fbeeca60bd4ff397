"""``consortia agreement simulate``: what a proposed version would have decided, asked of a log."""

from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_client.cli.audit_common import (
    BAD,
    UNKNOWN,
    AuditCommand,
    Owners,
    answer,
    gravest,
    headline,
    line,
    log_paths,
    questions,
    unpacked,
)
from consortia_common import terminal


@click.command(cls=AuditCommand)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@log_paths
@questions
def simulate(file: Path, paths: tuple[Path, ...], owners: Owners, as_json: bool) -> None:
    """Say what the agreement in FILE (YAML) would have decided otherwise, by clause.

    Every decision in the nodes' LOG… on a job under any version of that agreement is made again, as if the version
    in FILE had been in force all the time. Grades and consent are not on a log and are taken to suffice. Exits with
    1 if a log was tampered with, with 2 if it can't be verified; that decisions differ is no fault.
    """
    from consortia_common.audit_verify import attached, find_log, verify_folder
    from consortia_common.documents.agreement import Agreement
    from consortia_common.gate.simulation import Simulation

    proposed = Agreement.from_yaml(options.text_of(file), str(file))
    reports, simulations = [], []
    with unpacked(paths) as logs:
        for log in logs:
            folder = find_log(log)
            asked: list[Simulation] = []

            def see(who: Any, entry: Any, asked: list[Any] = asked, folder: Any = folder) -> None:
                if not asked:
                    asked.append(
                        Simulation(proposed, who.network, who.institution, lambda name: attached(folder, name))
                    )
                asked[0].see(entry)

            reports.append(verify_folder(log, owners.expected(log), see=see))
            simulations += asked
    code = gravest({"tampered": BAD, "unverifiable": UNKNOWN}.get(report.verdict, 0) for report in reports)
    document = {
        "logs": [report.document() for report in reports],
        "simulations": [simulation.document() for simulation in simulations],
    }
    answer(code, as_json, document, lambda: _show(reports, document["simulations"]))


def _show(reports: list[Any], simulations: list[dict[str, Any]]) -> None:
    for report in reports:
        headline(report.institution or report.path, report.verdict)
    for told in simulations:
        line(
            f"{told['institution']}: {told['decisions']} decisions, {told['changed']} would be others under "
            f"{told['proposed'].split('#')[0]}, {told['unknown']} can't be told"
        )
        rows = [
            (clause, counts.get("newly refused", 0), counts.get("newly accepted", 0))
            for clause, counts in told["by_clause"].items()
        ]
        if rows:
            terminal.table(("clause", "newly refused", "newly accepted"), rows)
        for job in told["jobs"]:
            if job["changed"]:
                line(f"  {job['job']} (entry {job['entry']}): {job['recorded']} → {job['proposed']}")
                line(f"    {job['sentence']}".rstrip(), "dim")
