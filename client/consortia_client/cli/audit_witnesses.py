"""``consortia audit policy``, and what an operator says when witnesses have found something."""

from pathlib import Path

import click

from consortia_client.cli.audit_common import AuditCommand
from consortia_common import terminal

_LOG = click.argument("folder", metavar="LOG", type=click.Path(exists=True, file_okay=False, path_type=Path))
_REASON = click.option("--reason", required=True, help="Why, in your own words; it stands on the log.")


@click.command(cls=AuditCommand)
@click.option(
    "--profile",
    "profile_folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of a regulator's or an analyst's profile, who asks the coordinator for the witness keys.",
)
@click.option(
    "--members",
    "members_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Lines of INSTITUTION FINGERPRINT, learnt from elsewhere; only keys that lead back to these count.",
)
@click.option(
    "--from",
    "sources",
    required=True,
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A copy of a log, or the folder of a node or coordinator, whose checkpoints the policy is to judge.",
)
@click.option(
    "--witness", "chosen", multiple=True, help="An institution whose cosignature counts; all, if not given."
)
@click.option("--quorum", required=True, type=click.IntRange(min=1), help="How many of them must have cosigned.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The policy file.")
def policy(
    profile_folder: Path,
    members_file: Path,
    sources: tuple[Path, ...],
    chosen: tuple[str, ...],
    quorum: int,
    out: Path,
) -> None:
    """Write a policy for verifying logs.

    It has the checkpoint keys of the logs and the keys of the witnesses, each checked against the owner's
    fingerprint, and the quorum (C2SP tlog-policy). An institution's witness never counts for its own log.
    """
    from consortia_client import witnesses
    from consortia_common import keyfiles
    from consortia_common.witness_owners import read_members
    from consortia_crypto.audit.witnesskeys import policy_of

    members = read_members(members_file)
    keys = [key for source in sources for key in witnesses.log_keys(source, members)]
    known = [one for one in witnesses.fetch(profile_folder, members) if not chosen or one.institution in chosen]
    keyfiles.write_file(out, policy_of(known, quorum, keys).raw)
    terminal.done(f"{quorum} of {', '.join(one.institution for one in known)} must have cosigned; written to {out}")


@click.command(cls=AuditCommand)
@_LOG
@click.option("--evidence", required=True, help="The number of the contradiction, from its witness.conflict entry.")
@_REASON
def acknowledge(folder: Path, evidence: str, reason: str) -> None:
    """Let releases go on after a contradiction.

    LOG is the folder of the node or coordinator where releases have stopped, running or not. The contradiction
    stays on its log and on its disk; what you say is logged before anything is released again.
    """
    from consortia_common import witness_alarms
    from consortia_common.audit_verify import find_log

    witness_alarms.acknowledge(find_log(folder).path / "evidence", evidence, reason)
    terminal.done(f"contradiction {evidence} is acknowledged; it is logged at the next release")


@click.command(cls=AuditCommand)
@_LOG
@click.option("--origin", required=True, help="Which log, as consortia.demo/bank-a/audit/2027.")
@_REASON
def forget(folder: Path, origin: str, reason: str) -> None:
    """Let this witness forget what it saw of a log.

    LOG is the folder of the node or coordinator that witnesses. Only for a log whose owner has lost its newest
    entries for good, and has told every institution so: whoever forgets gives up the proof that there were more.
    """
    from consortia_common import witness_alarms
    from consortia_common.audit_verify import find_log

    witness_alarms.ask_to_forget(find_log(folder).path / "evidence", origin, reason)
    terminal.done(f"what was seen of {origin} is forgotten, and logged, when its owner asks next")
