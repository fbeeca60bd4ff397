"""``consortia job receipt|verify``: what all parties signed about a job, and its check by anybody."""

from pathlib import Path
from typing import Any

import click

from consortia_client.cli import options
from consortia_common import terminal


@click.command()
@click.argument("job_id")
@options.profile
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Keep the proof in this file.")
@options.as_json
def receipt(job_id: str, folder: Path, out: Path | None, as_json: bool) -> None:
    """Fetch what every party signed about the job JOB_ID, check it, and show or keep it.

    With --out, the file proves to anybody who has compared the agreement's reference that all parties took part
    under it, with how many rows each, and which result they saw: `consortia job verify` needs nothing else.
    """
    from consortia_client.profile import Profile
    from consortia_client.session import Session

    with Session(Profile.load(folder)) as session:
        proof = session.proof(job_id)
    if out is not None:
        out.write_bytes(proof.document)
    _show(proof, as_json)
    if out is not None:
        terminal.note(f"Kept in {out}; anybody checks it with: consortia job verify {out}")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--agreement", "reference", help="The agreement's id@version#hash, as it was learnt elsewhere.")
@options.as_json
def verify(file: Path, reference: str | None, as_json: bool) -> None:
    """Check the proof of a job in FILE, without any network.

    Everything in it hangs on the agreement's reference: give the one that you know with --agreement, or compare the
    one that is shown.
    """
    from consortia_client import receipts
    from consortia_client.errors import ResultError
    from consortia_common import keyfiles

    proof = receipts.check(keyfiles.read_file(file))
    if reference is not None and proof.agreement.reference != reference:
        raise ResultError(
            "the proof is of a job under another agreement than the one that you know",
            blame="whoever made the proof",
            remedy="ask for the proof of the job that you mean; compare the reference with a party",
        )
    _show(proof, as_json)


def _show(proof: Any, as_json: bool) -> None:
    from consortia_client.plan import planned_bytes

    planned = planned_bytes(proof.submission.spec, proof.receipts)
    if as_json:
        terminal.as_json(
            {
                "job_id": proof.submission.job_id,
                "agreement": proof.agreement.reference,
                "purpose": proof.submission.spec.purpose,
                "analyst": proof.submission.analyst,
                "receipts": [one.model_dump(mode="json") for one in proof.receipts],
                "planned": {name: {"bytes_up": one.up, "bytes_down": one.down} for name, one in planned.items()},
            }
        )
        return
    terminal.done(f"every party of {proof.submission.job_id} has signed its receipt")
    terminal.facts({"agreement": proof.agreement.reference, "purpose": proof.submission.spec.purpose})
    rows = [
        (
            one.institution,
            ", ".join(f"{cohort.dataset}: {cohort.rows_used:,}" for cohort in one.cohorts) or "none",
            (one.result or "not seen")[:16],
        )
        for one in proof.receipts
    ]
    terminal.table(("institution", "rows used", "result"), rows)
    took = [
        (
            one.institution,
            _against(one.took.bytes_up, planned[one.institution].up),
            _against(one.took.bytes_down, planned[one.institution].down),
            _against(one.took.elapsed_ms / 1000, one.took.planned_ms / 1000, ",.1f", " s"),
            _against(one.took.memory_mib, one.took.planned_mib, unit=" MiB"),
        )
        for one in proof.receipts
    ]
    terminal.table(("institution", "bytes up", "bytes down", "time", "memory"), took)
    terminal.note("In brackets: how much more or less that is than was planned.")


def _against(fact: float, planned: float, form: str = ",", unit: str = "") -> str:
    off = f" ({fact / planned - 1:+.0%})" if planned else ""
    return f"{fact:{form}}{unit}{off}"
