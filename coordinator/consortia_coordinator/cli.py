"""``consortia network`` and ``consortia coordinator``: what a network's operator does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from consortia_common import terminal
from consortia_common.fingerprint_words import words
from consortia_coordinator import cli_root
from consortia_coordinator.cli_options import CONFIG, FILE, FOLDER, LEAVE, WHERE

_INSTITUTION = click.option(
    "--institution", required=True, help="The institution's name in the network, as bank-a."
)
_ROLES = ["node", "analyst", "officer", "regulator"]
_ROLE = click.option(
    "--role",
    required=True,
    type=click.Choice(_ROLES),
    help="node for the institution's node; analyst, officer or regulator for a person.",
)
_NAME = click.option(
    "--name", default="node", show_default=True, help="The person's name; a node keeps the default."
)


_ROOT = click.option(
    "--root", "root_folder", required=True, type=FOLDER, help="The folder with the root, brought for this command."
)


@click.group()
def network() -> None:
    """Make a network, invite, confirm and revoke members."""


for _command in (cli_root.root, cli_root.request, cli_root.sign, cli_root.install):
    network.add_command(_command)


@network.command()
@click.argument("folder", type=FOLDER)
@click.option("--name", required=True, help="The network's name, as demo; it stands in every certificate.")
@click.option("--listen", required=True, help="HOST:PORT where the coordinator is to listen.")
@click.option("--root-key", default="file:", show_default=True, help=f"Where the root's key is made: {WHERE}")
@click.option("--issuing-key", default="file:", show_default=True, help=f"Where the issuing key is made: {WHERE}")
@click.option("--root-certificate", type=FILE, help="The root.pem of a root that is kept on another machine.")
def init(
    folder: Path, name: str, listen: str, root_key: str, issuing_key: str, root_certificate: Path | None
) -> None:
    """Make a network in the new FOLDER.

    It gets an authority that issues certificates, the coordinator's keys, and commented settings. With
    --root-certificate no root is made here; `consortia network request` and `install` then bring the authority.
    """
    from consortia_common import keyfiles
    from consortia_coordinator import network as networks

    root_pem = keyfiles.read_file(root_certificate) if root_certificate else b""
    keys = networks.Keys(root_key, issuing_key)
    identity = networks.create(folder, name, listen, datetime.now(UTC), keys, root_pem)
    terminal.done(f"network {name} made in {folder}")
    terminal.facts({"the coordinator": identity.fingerprint, "in words": words(identity.fingerprint)})
    terminal.note(
        f"Next: move {folder / networks.ROOT_FOLDER} to a medium that you take offline; only renewing "
        "the issuing certificate needs it. Then run\n"
        f"  consortia coordinator run --config {folder / 'coordinator.toml'}"
    )


@network.command()
@CONFIG
@_INSTITUTION
@_ROLE
@_NAME
@click.option("--days", default=7, show_default=True, type=click.IntRange(1, 30), help="How long it is valid.")
@click.option(
    "--out",
    required=True,
    type=FILE,
    help="Where to write the invitation file.",
)
def invite(config_file: Path, institution: str, role: str, name: str, days: int, out: Path) -> None:
    """Make an invitation that is good once.

    Works whether the coordinator runs or not; the coordinator logs it before it honours it.
    """
    from consortia_coordinator import config
    from consortia_coordinator import network as networks
    from consortia_coordinator.store.database import open_database
    from consortia_coordinator.store.members import MembersStore

    settings = config.load(config_file)
    engine = open_database(settings.database_file)
    try:
        invitation = networks.invite(
            settings, MembersStore(engine), (institution, role, name), datetime.now(UTC), timedelta(days=days)
        )
    finally:
        engine.dispose()
    invitation.save(out)
    terminal.done(f"invitation for {institution}/{role}/{name} written to {out}")
    terminal.note("Hand it over so that nobody else can read it: whoever has the file can use it, once.")


@network.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of text for people.")
def members(config_file: Path, as_json: bool) -> None:
    """Show who belongs to the network.

    With each fingerprint in words, whether somebody has compared it, and until when the certificate is valid.
    """
    from consortia_coordinator import config, members_view, registry

    with registry.opened(config.load(config_file)) as known:
        found = known.members()
    if as_json:
        terminal.as_json([members_view.document(member) for member in found])
        return
    terminal.table(members_view.HEADS, [members_view.row(member) for member in found])


@network.command()
@CONFIG
@_INSTITUTION
@_ROLE
@_NAME
@click.option("--by", required=True, help="The officer or operator who compared the fingerprint.")
@click.argument("said", nargs=-1, required=True, metavar="WORDS…")
def confirm(config_file: Path, institution: str, role: str, name: str, by: str, said: tuple[str, ...]) -> None:
    """Confirm a member's fingerprint.

    WORDS are the words, or the 64 digits, that the member's own people read out; not those of `network members`.
    """
    from consortia_coordinator import config, registry

    with registry.opened(config.load(config_file)) as known:
        identity = known.confirm(institution, role, name, " ".join(said), by)
    terminal.done(f"the fingerprint of {institution}/{role}/{name} is confirmed; it goes on the coordinator's log")
    terminal.facts({"fingerprint": identity.fingerprint})


@network.command()
@CONFIG
@_INSTITUTION
@click.option("--role", default="", type=click.Choice(["", *_ROLES]), help="Only members of this role.")
@click.option("--name", default="", help="Only the member of this name: one person, or one device.")
@click.option("--reason", required=True, help="Why; it goes on every log.")
@click.option("--by", required=True, help="Who decided it.")
def revoke(config_file: Path, institution: str, role: str, name: str, reason: str, by: str) -> None:
    """Revoke an institution, person or device.

    Ends its connections, its jobs and the use of its keys, at the coordinator and at every node, and for good:
    whoever is to come back makes new keys and is invited anew.
    """
    from consortia_coordinator import config, registry

    with registry.opened(config.load(config_file)) as known:
        order = known.revoke(institution, role, name, reason, by)
        outcome = known.outcome(order)
    if outcome:
        terminal.done(f"{'/'.join(filter(None, (institution, role, name)))}: {outcome}")
    else:
        terminal.note(
            "The coordinator is not running; the revocation takes effect at its start, before anything else."
        )


@network.command()
@CONFIG
@click.argument("part", metavar="PART", type=click.Choice(["issuing", "root"]))
@_ROOT
@click.option("--new", "new_folder", type=FOLDER, help="Where the new root is to be made, for PART root.")
@click.option("--key", default="file:", show_default=True, help=f"Where the new key is made: {WHERE}")
@LEAVE
def rotate(
    config_file: Path, part: str, root_folder: Path, new_folder: Path | None, key: str, leave_behind: bool
) -> None:
    """Make a new issuing key, or begin to change the root.

    PART issuing: a new key under the root in --root. PART root: a new root in --new, which members trust beside the
    old one from then on; go on with `rotate issuing --root NEW`, and with `retire` when everybody has renewed.
    """
    from consortia_coordinator import config, registry
    from consortia_coordinator.rotation import Rotation

    settings, now = config.load(config_file), datetime.now(UTC)
    with registry.opened(settings) as known:
        rotation = Rotation(settings, known)
        if part == "issuing":
            digest = rotation.reissue(root_folder, now, key=key, leave_behind=leave_behind)
            terminal.done("certificates are issued by a new key; members renew theirs within minutes")
            terminal.facts({"issuing certificate": digest})
            return
        if new_folder is None:
            raise click.UsageError("Name the new root's folder with --new.")
        roots = rotation.begin(root_folder, new_folder, now, key=key)
    terminal.done(f"members trust {len(roots.roots)} roots from now on")
    terminal.note(
        "When everybody has fetched that (nodes do so within a minute), issue under the new root:\n"
        f"  consortia network rotate issuing --config {config_file} --root {new_folder}\n"
        f"Take {new_folder} offline when the change is done, and destroy the old root's medium."
    )


@network.command()
@CONFIG
@_ROOT
@LEAVE
def retire(config_file: Path, root_folder: Path, leave_behind: bool) -> None:
    """End the change of the root: only the new one is trusted.

    --root is the folder of the new root. Refused as long as a member's certificate is not under it.
    """
    from consortia_coordinator import config, registry
    from consortia_coordinator.rotation import Rotation

    settings = config.load(config_file)
    with registry.opened(settings) as known:
        Rotation(settings, known).retire(root_folder, datetime.now(UTC), leave_behind=leave_behind)
    terminal.done("members trust the new root only")


@click.group()
def coordinator() -> None:
    """Run a network's coordinator."""


@coordinator.command()
@CONFIG
def run(config_file: Path) -> None:
    """Run the coordinator until it is stopped.

    SIGTERM or Ctrl-C stops it in an orderly way; after anything else it goes on where it was.
    """
    from consortia_coordinator import config

    settings = config.load(config_file)

    from consortia_coordinator import service

    service.run(settings)


@coordinator.command()
@CONFIG
@click.option("--quorum", required=True, type=click.IntRange(min=1), help="How many of them must have cosigned.")
def witnesses(config_file: Path, quorum: int) -> None:
    """Say whose cosignatures the coordinator's log needs.

    Writes the witness policy: --quorum of all institutions whose nodes have said what their witness keys are.
    Until there is a policy, no result is published. The file may be edited; a running coordinator reads it anew.
    """
    from consortia_coordinator import config, witnessing

    settings = config.load(config_file)
    names = witnessing.write_policy(settings, quorum)
    terminal.done(f"{quorum} of {', '.join(names)} must cosign; written to {settings.witnesses}")
