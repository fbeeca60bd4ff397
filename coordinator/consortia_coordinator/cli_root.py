"""``consortia network root | request | sign | install``: a root that never comes near the operator's machine."""

from datetime import UTC, datetime
from pathlib import Path

import click

from consortia_common import terminal
from consortia_coordinator.cli_options import CONFIG, FILE, FOLDER, LEAVE, WHERE


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--name", required=True, help="The network's name, as demo.")
@click.option("--key", default="file:", show_default=True, help=f"Where the root's key is made: {WHERE}")
def root(folder: Path, name: str, key: str) -> None:
    """Make a network's root in the new FOLDER, on a machine without a network.

    Only FOLDER/root.pem leaves it: for `consortia network init --root-certificate`, or as a new root.
    """
    from consortia_common import pki
    from consortia_coordinator import ceremony, network

    made = ceremony.make_root(folder, name, datetime.now(UTC), key)
    terminal.done(f"the root of network {name} made in {folder}")
    terminal.facts({"certificate": pki.digest(made.certificate)})
    terminal.note(f"Give the operator {folder / network.ROOT_CERTIFICATE}, and nothing else of this folder.")


@click.command()
@CONFIG
@click.argument("part", metavar="PART", type=click.Choice(["issuing", "root", "retire"]))
@click.option("--new", "new_file", type=FILE, help="The new root's certificate, for PART root and retire.")
@click.option("--key", default="file:", show_default=True, help=f"Where the new issuing key is made: {WHERE}")
@click.option("--out", required=True, type=FILE, help="Where to write the request.")
def request(config_file: Path, part: str, new_file: Path | None, key: str, out: Path) -> None:
    """Ask the root's keeper for a signature.

    PART issuing: for a new issuing key, made here. PART root: that members trust the root in --new beside the
    present one; the present root signs. PART retire: that they trust it alone; the new root signs.
    """
    from consortia_common import keyfiles
    from consortia_coordinator import ceremony, config

    settings = config.load(config_file)
    if part == "issuing":
        asked = ceremony.ask_for_issuing(settings, key)
    elif new_file is None:
        raise click.UsageError("Name the new root's certificate with --new.")
    else:
        new_pem = keyfiles.read_file(new_file)
        asked = ceremony.ask_for_roots(settings, new_pem, datetime.now(UTC), alone=part == "retire")
    keyfiles.write_file(out, asked, keyfiles.PUBLIC)
    terminal.done(f"the request is written to {out}")
    terminal.facts({"to compare": ceremony.fingerprint_of(asked)})
    terminal.note("Take it to the root's keeper, who gives `consortia network sign` and sees the same digits.")


@click.command()
@click.option("--root", "root_folder", required=True, type=FOLDER, help="The folder with the root.")
@click.option("--out", required=True, type=FILE, help="Where to write the answer.")
@click.argument("asked", metavar="REQUEST", type=FILE)
def sign(root_folder: Path, out: Path, asked: Path) -> None:
    """Sign the operator's REQUEST with the root, on the machine that keeps it.

    Have the operator read out the digits to compare before the answer leaves the machine.
    """
    from consortia_common import keyfiles
    from consortia_coordinator import ceremony
    from consortia_coordinator.rotation import load_root

    answer = ceremony.sign(load_root(root_folder), keyfiles.read_file(asked), datetime.now(UTC))
    keyfiles.write_file(out, answer.raw, keyfiles.PUBLIC)
    terminal.done(f"the answer is written to {out}")
    terminal.facts(answer.facts)


@click.command()
@CONFIG
@LEAVE
@click.argument("answer", metavar="ANSWER", type=FILE)
def install(config_file: Path, leave_behind: bool, answer: Path) -> None:
    """Put the root's ANSWER to a request into use.

    Refused unless a root that members trust has signed it, and as long as a member is not ready for it.
    """
    from consortia_common import keyfiles
    from consortia_coordinator import config, registry
    from consortia_coordinator.rotation import Rotation

    settings = config.load(config_file)
    with registry.opened(settings) as known:
        said = Rotation(settings, known).install(
            keyfiles.read_file(answer), datetime.now(UTC), leave_behind=leave_behind
        )
    terminal.done(said)
