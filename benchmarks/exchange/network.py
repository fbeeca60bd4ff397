"""A network whose coordinator is a process of its own, and whose members were admitted without being asked.

Certificates and identities are as after enrolment; the members' private keys are all in this process.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.exchange.waiting import wait_until
from consortia_client import profile
from consortia_common import keyfiles, pki, tls
from consortia_common.tls import Peer
from consortia_coordinator import ca, config, network
from consortia_coordinator.certificates import record_of
from consortia_coordinator.store.database import open_database
from consortia_coordinator.store.members import MembersStore
from examples.credit_risk.processes import free_port, listens
from tests.support.callers import admit
from tests.support.sums import identity, roster

NETWORK = "bench"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Network:
    """Where the coordinator is, and who belongs."""

    root: Path
    port: int
    banks: tuple[str, ...]
    process: "subprocess.Popen[bytes]"

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def cpu(self) -> float:
        """Processor seconds that the coordinator has used, its workers' not counted."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> int:
        """Bytes that the coordinator occupies."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def stamps(self) -> list[Any]:
        """What the coordinator wrote down at each round's beginning: job, stage, time, CPU time."""
        return [json.loads(line) for line in (self.root / "stamps").read_text().splitlines()]


@contextmanager
def running(root: Path, institutions: int) -> Iterator[Network]:
    """A coordinator that serves, and the analyst's profile in ``root/analyst``."""
    port, banks = free_port(), roster(institutions)
    settings_file = prepare(root, port, banks)
    settings = config.load(settings_file)
    with (root / "coordinator.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.exchange.coordinator", settings_file, root / "stamps"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: listens(port), "the coordinator serves")
        made = Network(root, port, banks, process)
        profile.create(root / "analyst", banks[0], "analyst", "analyst")
        engine = open_database(settings.database_file)
        invitation = network.invite(settings, MembersStore(engine), (banks[0], "analyst", "analyst"), _now())
        engine.dispose()
        profile.enrol(root / "analyst", invitation, _now())
        yield made
    finally:
        process.terminate()
        process.wait(30)


def prepare(root: Path, port: int, banks: Sequence[str]) -> Path:
    """A network with these members; the coordinator's settings."""
    network.create(root / "coordinator", NETWORK, f"127.0.0.1:{port}", _now())
    settings_file = root / "coordinator" / "coordinator.toml"
    settings_file.write_text(f'witnesses = "none"\n{settings_file.read_text()}')
    _admit(config.load(settings_file), root, banks)
    return settings_file


def _admit(settings: config.CoordinatorSettings, root: Path, banks: Sequence[str]) -> None:
    authority = network.load_authority(settings)
    engine = open_database(settings.database_file)
    store = MembersStore(engine)
    admit(store, *map(identity, banks))
    for bank in banks:
        folder = keyfiles.make_folder(root / bank)
        key, subject = pki.new_key(), pki.Subject(NETWORK, bank, "node", bank)
        keyfiles.write_file(folder / tls.KEY_FILE, pki.key_pem(key))
        chain = ca.issue(authority, key.public_key(), subject, _now())
        store.renew(Peer(NETWORK, bank, "node", bank, _now(), ""), record_of(chain))
        keyfiles.write_file(folder / tls.CHAIN_FILE, chain)
        keyfiles.write_file(folder / tls.CA_FILE, (settings.folder / tls.CA_FILE).read_bytes())
    engine.dispose()


def _now() -> datetime:
    return datetime.now(UTC)
