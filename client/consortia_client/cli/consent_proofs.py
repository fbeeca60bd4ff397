"""``consortia consent history | prove``: every version of a customer's consents, and proofs for somebody else."""

from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_common import terminal

_CHECK = "Whoever has the witness policy can check it: consortia audit verify"


@click.command()
@click.argument("subject")
@click.option(
    "--proofs",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for the proofs of the versions that were imported or ended by the clock.",
)
@options.config
@options.as_json
def history(subject: str, folder: Path | None, config_file: Path, as_json: bool) -> None:
    """Show every version of the consents of the customer SUBJECT, and the entries of the log that cover them.

    What was changed one by one has an entry of its own, which commits to the record; `consortia subject show` opens
    the commitment, `consortia audit prove` proves the entry. Of an import the log has one root: --proofs writes for
    each version under one a file that opens this version alone.
    """
    from consortia_client import control
    from consortia_client.cli.consent import record_of
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        view = node.ConsentHistory(control_pb2.ShowConsentRequest(subject=subject), timeout=600)
    rows = [
        {
            **record_of(one.state),
            "commitment": one.commitment,
            "event": one.event or None,
            "log_entry": int(one.log_entry) if one.event else None,
            "year": one.year or None,
        }
        for one in view.transitions
    ]
    if folder is not None:
        _write(folder, {str(place): one.proof for place, one in enumerate(view.transitions, 1) if one.proof})
    if as_json:
        terminal.as_json({"pseudonym": view.pseudonym, "transitions": rows})
        return
    terminal.facts({"pseudonym": view.pseudonym})
    terminal.table(
        ("no.", "purpose", "state", "effective", "recorded", "notice", "entry"),
        [
            (
                place,
                row["purpose"],
                row["state"],
                row["effective_at"],
                row["recorded_at"],
                row["notice"],
                _entry(row),
            )
            for place, row in enumerate(rows, 1)
        ],
    )


@click.command()
@click.argument("subject")
@click.argument("job")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for the proofs, one file for each dataset.",
)
@options.config
@options.as_json
def prove(subject: str, job: str, out: Path, config_file: Path, as_json: bool) -> None:
    """Prove that the consent of the customer SUBJECT stood when JOB used the customer's row.

    The proof opens this customer's record under the root that the access has on the log, and no other customer's;
    `consortia audit verify FILE.consent-proof --policy POLICY` checks it. It shows the pseudonym, not the number.
    """
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        request = control_pb2.ProveConsentRequest(subject=subject, job=job)
        proofs = node.ProveConsent(request, timeout=600).proofs
    written = _write(out, {f"{job}-{proof.dataset}": proof.proof for proof in proofs})
    if as_json:
        terminal.as_json({"proofs": [str(path) for path in written]})
        return
    for path in written:
        terminal.done(f"the consent behind this use is proved by {path}")
    terminal.note(f"{_CHECK} {written[0]} --policy POLICY")


def _write(folder: Path, proofs: dict[str, bytes]) -> list[Path]:
    from consortia_common import keyfiles
    from consortia_common.consent_proof import SUFFIX

    keyfiles.make_folder(folder)
    written = []
    for name, proof in proofs.items():
        path = folder / f"{name}{SUFFIX}"
        keyfiles.write_file(path, proof)
        written.append(path)
    return written


def _entry(row: dict[str, Any]) -> str:
    return "" if row["event"] is None else f"{row['log_entry']} {row['event']}"
