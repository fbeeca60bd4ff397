"""``consortia user``: a person's profile, and what an officer signs about who is who."""

from datetime import UTC, datetime
from pathlib import Path

import click

from consortia_common import terminal
from consortia_common.fingerprint_words import words

_PROFILE = click.option(
    "--profile",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the person's profile.",
)
_SIGNING_KEY = click.option(
    "--signing-key",
    default="file:",
    show_default=True,
    help="Where the signing key is made: in the folder, or in a smart card or module: pkcs11:… (docs/identity.md).",
)


@click.group()
def user() -> None:
    """Make a person's profile and enrol it."""


@user.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--institution", required=True, help="The institution that the person works for, as bank-a.")
@click.option("--name", required=True, help="The person's name in the network: lower case, no spaces.")
@click.option(
    "--role",
    required=True,
    type=click.Choice(["analyst", "officer", "regulator"]),
    help="analyst submits jobs; officer signs agreements and approves jobs; regulator reads and verifies logs.",
)
@_SIGNING_KEY
def init(folder: Path, institution: str, name: str, role: str, signing_key: str) -> None:
    """Make a profile with fresh keys in the new FOLDER."""
    from consortia_client import profile

    profile.create(folder, institution, role, name, signing_key)
    terminal.done(f"profile of {institution}/{role}/{name} made in {folder}")
    terminal.note(
        "Next: ask the network's operator for an invitation; then run\n"
        f"  consortia user enrol --profile {folder} --invite FILE"
    )


@user.command()
@_PROFILE
@click.option(
    "--invite",
    "invitation_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The invitation file that the network's operator gave you.",
)
def enrol(folder: Path, invitation_file: Path) -> None:
    """Join a network, or renew the certificate.

    Sends the public halves of the person's keys to the coordinator that the invitation names.
    """
    from consortia_client import profile
    from consortia_common.joining import Invitation

    joined = profile.enrol(folder, Invitation.load(invitation_file), datetime.now(UTC))
    terminal.done(f"{joined.identity.institution}/{joined.identity.name} belongs to the network {joined.network}")
    _show_fingerprints(joined.identity.public.fingerprint, joined.coordinator.fingerprint)
    terminal.note("Compare both fingerprints with the network's operator by telephone.")


@user.command()
@_PROFILE
def renew(folder: Path) -> None:
    """Renew the certificate if it is due.

    Every command that calls the coordinator does so by itself; this is for a profile that is seldom used.
    """
    from consortia_client.profile import Profile

    profile = Profile.load(folder)
    renewed = profile.renew()
    terminal.done("renewed" if renewed else "nothing is due")
    terminal.facts({"valid until": f"{Profile.load(folder).credentials.not_after():%Y-%m-%d %H:%M} UTC"})


@user.command()
@_PROFILE
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of text for people.")
def show(folder: Path, as_json: bool) -> None:
    """Show who this profile is.

    Also shows until when its certificate is valid, and the fingerprints that others know it by.
    """
    from consortia_client.profile import Profile
    from consortia_common.documents.base import utc

    profile = Profile.load(folder)
    if as_json:
        terminal.as_json(
            {
                "identity": profile.identity.public.document(),
                "fingerprint": profile.identity.public.fingerprint,
                "words": words(profile.identity.public.fingerprint),
                "coordinator_fingerprint": profile.coordinator.fingerprint,
                "valid_until": utc(profile.credentials.not_after()),
            }
        )
        return
    terminal.facts(
        {
            "network": profile.network,
            "coordinator": profile.address,
            "institution": profile.identity.institution,
            "role": profile.identity.role,
            "name": profile.identity.name,
            "valid until": f"{profile.credentials.not_after():%Y-%m-%d %H:%M} UTC",
        }
    )
    _show_fingerprints(profile.identity.public.fingerprint, profile.coordinator.fingerprint)


@user.command()
@_PROFILE
@click.option("--institution", required=True, help="Whose fingerprint it is; coordinator for the coordinator's.")
@click.option(
    "--role",
    default="node",
    show_default=True,
    type=click.Choice(["node", "analyst", "officer", "regulator"]),
    help="node for the institution's node; analyst, officer or regulator for a person.",
)
@click.option("--name", default="node", show_default=True, help="The person's name; a node keeps the default.")
@click.argument("said", nargs=-1, required=True, metavar="WORDS…")
def confirm(folder: Path, institution: str, role: str, name: str, said: tuple[str, ...]) -> None:
    """Sign, as an officer, that a member's fingerprint is the one that its own people read out.

    WORDS are the words, or the 64 digits, as you heard them over the telephone. What you sign goes on the
    coordinator's log, on that of your own node and of the institution that you confirmed.
    """
    from consortia_client.officer import Officer
    from consortia_client.profile import Profile

    with Officer(Profile.load(folder)) as officer:
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        identity = officer.confirm((institution, role, name), " ".join(said), now_ms)
    who = f"{identity.institution}/{identity.role}/{identity.name}"
    terminal.done(f"you have signed that {who} has this fingerprint; both sides and the coordinator log it")
    terminal.facts({"fingerprint": identity.fingerprint})


def _show_fingerprints(own: str, coordinator: str) -> None:
    terminal.facts(
        {
            "this person": own,
            "  in words": words(own),
            "the coordinator": coordinator,
            "  in its words": words(coordinator),
        }
    )
