"""The network of ``examples.credit_risk`` with this example's tables, and the banks' agreement on their service."""

import shutil
from pathlib import Path
from typing import Any

from examples.credit_risk import agreement, commands, network
from examples.credit_risk.network import Places
from examples.credit_risk.processes import Processes
from examples.credit_risk.split import BANKS
from examples.service_quality import data

SPECS = Path(__file__).parent / "specs"


def build(places: Places, port: int, processes: Processes) -> dict[str, str]:
    """Folders, tables, processes, witnesses; everybody's fingerprint by name."""
    network.create(places, port)
    for bank in BANKS:
        shutil.copy(SPECS / "datasets.toml", places.node(bank).with_name("datasets.toml"))
        data.write(bank, places.data(bank))
    fingerprints = network.start(places, port, processes)
    network.name_witnesses(places, fingerprints, processes)
    return fingerprints


def agree(places: Places, fingerprints: dict[str, str]) -> str:
    """Have every bank sign; the agreement's reference."""
    text = agreement.build((SPECS / "agreement.yaml").read_text(), fingerprints)
    path = places.root / "agreement.yaml"
    agreement.write(text, path)
    commands.run("agreement", "propose", path, "--config", places.node(BANKS[0]))
    for bank in BANKS[1:]:
        found = _known(places, bank, "proposed")
        commands.run("agreement", "sign", found["reference"], "--config", places.node(bank))
    known = [_known(places, bank, "active") for bank in BANKS]
    return str(known[0]["reference"])


def _known(places: Places, bank: str, state: str) -> Any:
    question = ("agreement", "list", "--config", places.node(bank))
    return commands.until(question, lambda one: one["state"] == state, f"the agreement did not become {state}")
