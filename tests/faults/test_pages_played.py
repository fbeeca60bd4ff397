"""docs/deploying.md and the backup of docs/operating.md, played as they stand: four folders for the four machines.

Every command line of these pages is either played here or named among those that need a machine of one's own, so a
page can't say what does not work, and a line that is added must be played too.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from consortia_common.audit_verify import verify_folder
from examples.credit_risk import commands
from tests.support.consortium import free_port
from tests.support.processes import ROOT
from tests.support.specs import BANKS

pytestmark = pytest.mark.slow
OPERATOR = "operator"
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("deploying", "operating")}
OF_A_MACHINE = ("useradd", "install", "python3", "/opt/consortia/bin/pip", "cp", "systemctl")
"""What needs root and systemd; the units are started here as processes."""
SECONDS = 90.0
RSYNC = """#!{python}
import shutil, sys
left = [word for word in sys.argv[1:] if not word.startswith("-")]
out = [sys.argv[at + 1] for at, word in enumerate(sys.argv) if word == "--exclude"]
source, target = [word for word in left if word not in out]
shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*out, "*.sock"))
"""
"""Stands for rsync where there is none."""


def lines(page: str, heading: str = "") -> list[str]:
    """The command lines of a page's shell blocks, those under one heading if it is named."""
    text = PAGES[page].split(f"\n## {heading}\n")[1].split("\n## ")[0] if heading else PAGES[page]
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    joined = "".join(blocks).replace("\\\n", " ")
    return [re.sub(r" +", " ", line).strip() for line in joined.splitlines() if line.strip()]


def told(page: str, file: str) -> list[str]:
    """The settings that a page says to write into a file."""
    (sentence,) = re.findall(rf"In `{file}`.*?\.\s(?=[A-Z])", PAGES[page], re.DOTALL)
    return re.findall(r'`(\w+ = "[^`]+")`', sentence)


@dataclass
class Machines:
    """A folder for each, and what runs on it. Ports and names are this machine's; all else is the page's."""

    root: Path
    ports: dict[str, int] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def folder(self, machine: str) -> Path:
        return self.root / machine

    def here(self, text: str, machine: str) -> str:
        """A line of a page as it reads on this machine."""
        port = self.ports.setdefault("exchange", free_port())
        monitor = self.ports.setdefault(machine, free_port())
        text = re.sub(r"(0\.0\.0\.0|coordinator\.example):7443", f"127.0.0.1:{port}", text)
        text = re.sub(r"127\.0\.0\.1:946[45]", f"127.0.0.1:{monitor}", text)
        return text.replace("/backup/", f"{self.folder(machine)}/backup/")

    def play(self, line: str, machine: str) -> str:
        """Have the line run in the machine's folder; what it printed."""
        path = f"{self.root / 'bin'}:{commands.PROGRAM.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            shlex.split(self.here(line, machine)), cwd=self.folder(machine), capture_output=True, text=True,
            timeout=SECONDS, check=False, env=commands.environment() | {"PATH": path},
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        return done.stdout

    def set_up(self, machine: str, file: str) -> None:
        """Write the settings of which the page tells."""
        said = told("deploying", file)
        assert said
        text = "".join(f"{self.here(line, machine)}\n" for line in said)
        with (self.folder(machine) / file).open("a") as settings:
            settings.write(f"\n{text}")

    def start(self, machine: str) -> None:
        """What the unit starts, until the page's own question about it is answered."""
        part = "coordinator" if machine == OPERATOR else "node"
        unit = (ROOT / "deploy" / f"consortia-{part}.service").read_text()
        (command,) = re.findall(r"^ExecStart=/opt/consortia/bin/(.*)$", unit, re.MULTILINE)
        words = command.replace("/var/lib/consortia/", "").split()
        with (self.root / f"{machine}.log").open("ab") as output:
            self.running[machine] = subprocess.Popen(
                [str(commands.PROGRAM), *words[1:]], cwd=self.folder(machine), stdout=output, stderr=output,
                stdin=subprocess.DEVNULL, env=commands.environment(),
            )  # fmt: skip
        self.wait_ready(machine)

    def wait_ready(self, machine: str) -> None:
        url = f"http://127.0.0.1:{self.ports[machine]}/readyz"
        for _ in range(int(SECONDS / 0.1)):
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    assert answer.status == 200
                    return
            except OSError:
                assert self.running[machine].poll() is None, (self.root / f"{machine}.log").read_text()[-2000:]
                threading.Event().wait(0.1)
        raise AssertionError(f"{machine} is not ready: {(self.root / f'{machine}.log').read_text()[-2000:]}")

    def stop(self, machine: str) -> None:
        process = self.running.pop(machine)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def carry(self, name: str, machine: str) -> None:
        """Hand a file of the operator's over."""
        shutil.copy(self.folder(OPERATOR) / name, self.folder(machine) / name)
        (self.folder(machine) / name).chmod(0o600)

    def words(self, machine: str) -> list[str]:
        """The fingerprint that this bank's people read out."""
        shown = self.play("consortia node status --config node/node.toml --json", machine)
        (found,) = re.findall(r'"fingerprint": "([0-9a-f]{64})"', shown)
        return [str(found)]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    made = Machines(tmp_path_factory.mktemp("machines"))
    for name in (OPERATOR, *BANKS, "bin"):
        made.folder(name).mkdir()
    if shutil.which("rsync") is None:
        (made.root / "bin" / "rsync").write_text(RSYNC.format(python=sys.executable))
        (made.root / "bin" / "rsync").chmod(0o755)
    yield made
    for machine in list(made.running):
        made.stop(machine)


def of(verb: str, page: list[str]) -> str:
    """The page's one line for ``consortia VERB``."""
    (line,) = {line for line in page if line.startswith(f"consortia {verb} ")}
    return line


def test_from_nothing_to_three_institutions(machines: Machines) -> None:
    page = lines("deploying")
    played: set[str] = set()

    def play(verb: str, machine: str) -> None:
        line = of(verb, page)
        played.add(line)
        machines.play(line.replace("bank-a", machine), machine)

    play("network init", OPERATOR)
    machines.set_up(OPERATOR, "coordinator/coordinator.toml")
    machines.start(OPERATOR)
    invite = of("network invite", page)
    played.add(invite)
    for bank in BANKS:
        machines.play(invite.replace("bank-a", bank), OPERATOR)
        machines.carry(f"{bank}.invitation.json", bank)
        play("node init", bank)
        play("node enrol", bank)
        machines.set_up(bank, "node/node.toml")
        machines.start(bank)
    for bank in BANKS:
        for other in set(BANKS) - {bank}:
            said = " ".join(machines.words(other))
            line = f"consortia node confirm --config node/node.toml --institution {other} --by olga {said}"
            machines.play(line, bank)
    for bank in BANKS:
        play("node witnesses", bank)
    play("coordinator witnesses", OPERATOR)
    play("user init", "bank-a")
    person = invite.replace("--role node --name node", "--role officer --name olga")
    machines.play(person.replace("bank-a.invitation", "olga.invitation"), OPERATOR)
    machines.carry("olga.invitation.json", "bank-a")
    play("user enrol", "bank-a")
    for machine in (OPERATOR, *BANKS):
        machines.wait_ready(machine)
    others = {line for line in page if line not in played and not line.startswith("curl -s http://127.0.0.1:946")}
    assert {line for line in others if not line.startswith(OF_A_MACHINE)} == set()


def test_a_backup_is_restored(machines: Machines) -> None:
    """A machine is lost; its folder comes from the backup, its log from the disk that can still be read."""
    bank, folder = "bank-a", machines.folder("bank-a")
    (folder / "backup" / "node").mkdir(parents=True)
    page = lines("operating", "Back up")
    assert [line.split()[0] for line in page] == ["sqlite3", "rsync", "rsync", "consortia"]
    for line in page:
        machines.play(line, bank)
    machines.stop(bank)
    lost = folder / "lost"
    (folder / "node").rename(lost)
    shutil.copytree(folder / "backup" / "node", folder / "node")
    shutil.copy(folder / "backup" / "node.db", folder / "node" / "node.db")
    shutil.copytree(lost / "log", folder / "node" / "log")
    shutil.copytree(lost / "unbacked", folder / "node" / "unbacked")
    for path in (folder / "node").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    (folder / "node").chmod(0o700)
    machines.play("consortia audit fsck node/log", bank)
    before = verify_folder(folder / "node" / "log").entries
    machines.start(bank)
    report = verify_folder(folder / "node" / "log")
    assert report.verdict == "verified"
    assert report.entries > before
