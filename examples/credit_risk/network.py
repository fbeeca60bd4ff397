"""A coordinator, three banks, people with profiles: who is where, and how they come together."""

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from examples.credit_risk import commands
from examples.credit_risk.errors import DemoError
from examples.credit_risk.processes import Processes, listens
from examples.credit_risk.split import BANKS, COLUMNS, SUBJECT

NETWORK = "demo"
DATASETS = ("clients", "clients_test")
QUORUM = 2
"""So many others must have cosigned a log before its owner releases anything."""
_MARKER = ".consortia-demo"
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class User:
    """Somebody with a profile but no node; the profile's folder is named after the person."""

    institution: str
    name: str
    role: str


ANALYST = User("bank-a", "analyst", "analyst")
INSPECTOR = User("regulator", "inspector", "regulator")
OFFICERS = (User("bank-a", "olga", "officer"), User("bank-b", "pia", "officer"), User("bank-c", "quin", "officer"))
USERS = (ANALYST, INSPECTOR, *OFFICERS)


NAMED_OFFICERS = ", ".join(f"{officer.name} ({officer.institution})" for officer in OFFICERS)


@dataclass(frozen=True)
class Places:
    """Where everything lies. Folders are named after their owners."""

    root: Path

    @property
    def coordinator(self) -> Path:
        """The coordinator's settings file."""
        return self.root / "coordinator" / "coordinator.toml"

    def node(self, bank: str) -> Path:
        """A bank's settings file."""
        return self.root / bank / "node.toml"

    def data(self, bank: str) -> Path:
        """The folder with a bank's customers."""
        return self.root / bank / "data"

    @property
    def members(self) -> Path:
        """Everybody's fingerprints, as people confirmed them by telephone."""
        return self.root / "members.txt"

    @property
    def policy(self) -> Path:
        """Whose cosignatures the regulator asks for."""
        return self.root / "evidence" / "policy.txt"

    def profile(self, user: User) -> Path:
        """The folder of a person's profile."""
        return self.root / user.name

    @property
    def analyst(self) -> Path:
        """The analyst's profile."""
        return self.profile(ANALYST)

    @property
    def regulator(self) -> Path:
        """The profile of the regulator's inspector."""
        return self.profile(INSPECTOR)


def clear(root: Path) -> Places:
    """An empty folder for the demo. Raises DemoError rather than delete what an earlier demo did not make."""
    if root.exists() and any(root.iterdir()) and not (root / _MARKER).exists():
        raise DemoError(
            f"{root} holds something that no demo made",
            blame="whoever chose the folder",
            remedy="choose another folder with --folder, or move its contents away",
        )
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True, mode=0o700)
    (root / _MARKER).touch()
    return Places(root)


def create(places: Places, port: int) -> None:
    """Make the coordinator's, the banks' and the users' folders; each has its keys made in it."""
    home = places.coordinator.parent
    commands.run("network", "init", home, "--name", NETWORK, "--listen", f"127.0.0.1:{port}")
    together(lambda bank: _create_node(places, bank), BANKS)
    together(lambda user: _create_user(places, user), USERS)


def start(places: Places, port: int, processes: Processes) -> dict[str, str]:
    """Start the coordinator, enrol everybody, start the nodes, wait until they are connected.

    Returns everybody's fingerprint; in life people compare these by telephone.
    """
    processes.start("coordinator", "coordinator", "run", "--config", places.coordinator)
    processes.wait("the coordinator", lambda: listens(port))
    together(lambda bank: _enrol_node(places, bank), BANKS)
    together(lambda user: _enrol_user(places, user), USERS)
    for bank in BANKS:
        processes.start(bank, "node", "run", "--config", places.node(bank))
    for bank in BANKS:
        processes.wait(f"{bank}'s node", partial(_connected, places, bank))
    known = {bank: commands.ask("node", "status", "--config", places.node(bank))["fingerprint"] for bank in BANKS}
    people = (ANALYST, *OFFICERS)
    shown = together(lambda user: commands.ask("user", "show", "--profile", places.profile(user)), people)
    known |= {user.name: one["fingerprint"] for user, one in zip(people, shown, strict=True)}
    return known | {"coordinator": shown[0]["coordinator_fingerprint"]}


def name_witnesses(places: Places, fingerprints: dict[str, str], processes: Processes) -> None:
    """Have each bank confirm the others' fingerprints, and everybody say whose cosignatures their log needs."""
    places.members.write_text("".join(f"{name} {fingerprints[name]}\n" for name in (*BANKS, "coordinator")))
    for bank in BANKS:
        shutil.copy(places.members, places.node(bank).parent / "members.txt")
        processes.wait(f"{bank}'s witnesses", partial(_witnessed, places, bank))
    commands.run("coordinator", "witnesses", "--config", places.coordinator, "--quorum", str(QUORUM))


def _witnessed(places: Places, bank: str) -> bool:
    """Whether the policy that ``bank`` wrote names everybody else; a node may not have said its keys yet."""
    answer = commands.attempt("node", "witnesses", "--config", places.node(bank), "--quorum", str(QUORUM), "--json")
    return answer.status == 0 and len(answer.document()["witnesses"]) == len(BANKS)


def together(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The outcome of ``work`` for each item, done at the same time; the first error is raised."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(work, items))


def _create_node(places: Places, bank: str) -> None:
    config = places.node(bank)
    commands.run("node", "init", config.parent, "--institution", bank)
    (config.parent / "datasets.toml").write_text("\n".join(_dataset(name) for name in DATASETS))


def _create_user(places: Places, user: User) -> None:
    words = ("--institution", user.institution, "--name", user.name, "--role", user.role)
    commands.run("user", "init", places.profile(user), *words)


def _dataset(name: str) -> str:
    """The lines of datasets.toml that offer one table to jobs."""
    columns = [f"{column} = {{ {about.declared} }}" for column, about in COLUMNS.items()]
    head = ["[[datasets]]", f'name = "{name}"', f'path = "data/{name}.parquet"', "[datasets.columns]"]
    return "\n".join([*head, f'{SUBJECT} = {{ type = "text", role = "id" }}', *columns, ""])


def _enrol_node(places: Places, bank: str) -> None:
    invitation = _invite(places, bank, "node", "node")
    commands.run("node", "enrol", "--config", places.node(bank), "--invite", invitation)


def _enrol_user(places: Places, user: User) -> None:
    invitation = _invite(places, user.institution, user.role, user.name)
    commands.run("user", "enrol", "--profile", places.profile(user), "--invite", invitation)


def _invite(places: Places, institution: str, role: str, name: str) -> Path:
    """An invitation, as the network's operator hands it over."""
    invitation = places.root / "invitations" / f"{institution}-{name}.json"
    invitation.parent.mkdir(mode=0o700, exist_ok=True)
    about = ("--institution", institution, "--role", role, "--name", name, "--out", invitation)
    commands.run("network", "invite", "--config", places.coordinator, *about)
    return invitation


def _connected(places: Places, bank: str) -> bool:
    answer = commands.attempt("node", "status", "--config", places.node(bank), "--json")
    return answer.status == 0 and bool(answer.document()["connected"])
