"""``consortia node``: what a bank's IT does with its node."""

from datetime import UTC, datetime
from pathlib import Path

import click

from consortia_common import terminal
from consortia_common.fingerprint_words import words

_CONFIG = click.option(
    "--config",
    "config_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The node's settings file, node.toml.",
)


@click.group()
def node() -> None:
    """Set up and run an institution's node."""


@node.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--institution", required=True, help="The institution's name in the network, as bank-a.")
@click.option(
    "--signing-key",
    default="file:",
    show_default=True,
    help="Where the signing key is made: in the folder, or in a hardware module: pkcs11:… (docs/identity.md).",
)
def init(folder: Path, institution: str, signing_key: str) -> None:
    """Make a node in the new FOLDER.

    It gets fresh keys, commented settings, and places for data and log. Nothing leaves the folder.
    """
    from consortia_node import enrolment

    settings_file = enrolment.create(folder, institution, signing_key)
    terminal.done(f"node of {institution} made in {folder}")
    terminal.note(
        "Next: describe your tables with `consortia dataset add`; ask the network's operator for an invitation;\n"
        f"then run\n  consortia node enrol --config {settings_file} --invite FILE"
    )


@node.command()
@_CONFIG
@click.option(
    "--invite",
    "invitation_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The invitation file that the network's operator gave you.",
)
def enrol(config_file: Path, invitation_file: Path) -> None:
    """Join a network, or renew the certificate.

    Sends the public halves of the node's keys to the coordinator that the invitation names.
    """
    from consortia_common.joining import Invitation
    from consortia_node import config, enrolment

    invitation = Invitation.load(invitation_file)
    joined = enrolment.enrol(config.load(config_file), invitation, lambda: datetime.now(UTC))
    terminal.done(f"{invitation.institution} belongs to the network {invitation.network}")
    terminal.facts(
        {
            "this node": joined.own,
            "  in words": words(joined.own),
            "the coordinator": joined.coordinator,
            "  in its words": words(joined.coordinator),
        }
    )
    terminal.note("Compare both fingerprints with the network's operator by telephone before you sign anything.")


@node.command()
@_CONFIG
def run(config_file: Path) -> None:
    """Run the node until it is stopped.

    SIGTERM or Ctrl-C stops it in an orderly way; after anything else it goes on where it was.
    """
    from consortia_node import config

    settings = config.load(config_file).require_enrolled()

    from consortia_node import service

    service.run(settings)


@node.command()
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of text for people.")
def status(config_file: Path, as_json: bool) -> None:
    """Show what the running node is and does."""
    from consortia_common import local, rpc
    from consortia_node import config
    from consortia_proto.v1 import control_pb2, control_pb2_grpc

    settings = config.load(config_file)
    with (
        local.channel(settings.control_socket) as channel,
        rpc.calling(f"the node of {settings.institution}"),
    ):
        found = control_pb2_grpc.ControlStub(channel).Status(control_pb2.StatusRequest(), timeout=10)
    if as_json:
        terminal.as_json(
            {
                "network": found.network,
                "institution": found.institution,
                "fingerprint": found.fingerprint,
                "words": words(found.fingerprint),
                "connected": found.connected,
                "datasets": list(found.datasets),
                "running_jobs": list(found.running_jobs),
                "log_entries": found.log_entries,
            }
        )
        return
    terminal.facts(
        {
            "network": found.network,
            "institution": found.institution,
            "fingerprint": found.fingerprint,
            "in words": words(found.fingerprint),
            "connected": "yes" if found.connected else "no",
            "datasets": ", ".join(found.datasets) or "none",
            "running jobs": ", ".join(found.running_jobs) or "none",
            "log entries": found.log_entries,
        }
    )


@node.command()
@_CONFIG
@click.option("--institution", required=True, help="Whose fingerprint it is; coordinator for the coordinator's.")
@click.option(
    "--role",
    default="node",
    show_default=True,
    type=click.Choice(["node", "officer"]),
    help="node for the institution's node; officer for one of your own officers.",
)
@click.option("--name", default="node", show_default=True, help="The officer's name; a node keeps the default.")
@click.option("--by", required=True, help="The person who compared it.")
@click.argument("said", nargs=-1, required=True, metavar="WORDS…")
def confirm(config_file: Path, institution: str, role: str, name: str, by: str, said: tuple[str, ...]) -> None:
    """Confirm the fingerprint of another institution, or of an officer of your own.

    WORDS are the words, or the 64 digits, that its own people read out over the telephone. The running node
    compares them with what the coordinator shows, logs it, and keeps the fingerprint in members.txt. So it does
    later with what an officer whom you have confirmed signs with `consortia user confirm`.
    """
    from consortia_common import local, rpc
    from consortia_node import config
    from consortia_proto.v1 import control_pb2, control_pb2_grpc

    settings = config.load(config_file)
    with (
        local.channel(settings.control_socket) as channel,
        rpc.calling(f"the node of {settings.institution}"),
    ):
        request = control_pb2.ConfirmMemberRequest(
            institution=institution, role=role, name=name, said=" ".join(said), by=by
        )
        confirmed = control_pb2_grpc.ControlStub(channel).ConfirmMember(request, timeout=30)
    whose = institution if role == "node" else f"{institution}/{role}/{name}"
    terminal.done(f"the fingerprint of {whose} is confirmed and logged; it is kept in {confirmed.path}")
    terminal.facts({"fingerprint": confirmed.fingerprint})


@node.command()
@_CONFIG
@click.option("--quorum", required=True, type=click.IntRange(min=1), help="How many of them must have cosigned.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of text for people.")
def witnesses(config_file: Path, quorum: int, as_json: bool) -> None:
    """Say whose cosignatures this node's log needs.

    Writes the running node's witness policy: --quorum of all members whose fingerprints are confirmed here (in
    members.txt, or in an agreement that this institution signed), and of the coordinator. Until there is a policy,
    nothing is released. The file may be edited afterwards.
    """
    from consortia_common import local, rpc
    from consortia_node import config
    from consortia_proto.v1 import control_pb2, control_pb2_grpc

    settings = config.load(config_file)
    with (
        local.channel(settings.control_socket) as channel,
        rpc.calling(f"the node of {settings.institution}"),
    ):
        request = control_pb2.WriteWitnessPolicyRequest(quorum=quorum)
        written = control_pb2_grpc.ControlStub(channel).WriteWitnessPolicy(request, timeout=20)
    if as_json:
        terminal.as_json({"policy": written.path, "quorum": quorum, "witnesses": list(written.institutions)})
        return
    terminal.done(f"{quorum} of {', '.join(written.institutions)} must cosign; written to {written.path}")
