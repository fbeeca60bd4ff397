"""People's commands before a coordinator whose answers are spoilt: a refusal in words or a true answer, no more.

What comes is what an honest coordinator says, changed at the bytes of the wire or field by field, in every call
that people's commands make.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from consortia_client import profile as profiles
from consortia_common.fingerprint_words import words
from tests.support import consortium as support
from tests.support.cli import consortia
from tests.support.consortium import Consortium
from tests.support.recorder import Spoiler
from tests.support.specs import BANKS, spec

FEW_OR_MANY = pytest.mark.parametrize("rounds", [2, pytest.param(30, marks=pytest.mark.slow)])
PEOPLE = ("Jobs", "Plans", "Catalogues", "Statements", "Audit")


@dataclass(frozen=True)
class Seat:
    """A running consortium in which a job was run, and who spoils what its coordinator says."""

    consortium: Consortium
    spoiler: Spoiler
    job_id: str
    agreement: str

    def folder(self, name: str) -> Path:
        return self.consortium.root / name

    def spoilt(self, rounds: int, services: tuple[str, ...], *words: str | Path) -> None:
        """Give a command so many times, its answers spoilt."""
        self.spoiler.spoils = services
        try:
            for _ in range(rounds):
                require_plain(*words)
        finally:
            self.spoiler.spoils = ()


def require_plain(*words: str | Path) -> None:
    """The command ends as commands end, and says nothing that steers a terminal or that nobody foresaw."""
    done = consortia(*words)
    assert done.exit_code in (0, 1), (words, done.output, done.exception)
    assert "something unforeseen" not in done.output, (words, done.output)
    assert all(letter.isprintable() or letter == "\n" for letter in done.output), (words, done.output)


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    consortium, spoiler = support.build(tmp_path_factory.mktemp("spoilt")), Spoiler()
    with support.running(consortium, [spoiler]):
        agreement = support.prepare(consortium, min_cell=1)
        support.enrol_person(consortium, "bank-a", "officer", "olga")
        job_id = consortium.submit(spec("statistics"))
        assert consortium.finish(job_id).state == "finished"
        yield Seat(consortium, spoiler, job_id, agreement.reference)


@FEW_OR_MANY
def test_an_analyst_s_commands(rounds: int, seat: Seat, tmp_path: Path) -> None:
    file, profile = tmp_path / "spec.yaml", ("--profile", seat.folder("analyst"))
    file.write_bytes(spec("statistics").canonical())  # JSON is YAML
    for command in ("show", "result", "receipt", "cancel"):
        seat.spoilt(rounds, PEOPLE, "job", command, seat.job_id, *profile)
    seat.spoilt(rounds, PEOPLE, "job", "list", *profile)
    seat.spoilt(rounds, PEOPLE, "job", "plan", file, *profile)
    seat.spoilt(rounds, PEOPLE, "job", "submit", file, *profile)
    seat.spoilt(rounds, PEOPLE, "catalogue", "list", *profile)


@FEW_OR_MANY
def test_an_officer_s_commands(rounds: int, seat: Seat) -> None:
    profile = ("--profile", seat.folder("olga"))
    seat.spoilt(rounds, PEOPLE, "agreement", "sign", seat.agreement, *profile)
    seat.spoilt(rounds, PEOPLE, "job", "approve", seat.job_id, *profile)
    said = words("ab" * 32).split()
    seat.spoilt(rounds, PEOPLE, "user", "confirm", *profile, "--institution", "bank-b", *said)


@FEW_OR_MANY
def test_a_regulator_s_commands(rounds: int, seat: Seat, tmp_path: Path) -> None:
    given = ("audit", "fetch", "--profile", seat.folder("regulator"), "--out")
    for number in range(rounds):
        seat.spoilt(1, ("Audit",), *given, tmp_path / str(number))


@FEW_OR_MANY
def test_staying_in_the_network_and_joining_it(rounds: int, seat: Seat, tmp_path: Path) -> None:
    """What is refused leaves the folder as it was: the next honest answer is taken."""
    analyst = ("--profile", seat.folder("analyst"))
    seat.spoilt(rounds, ("Certificates",), "user", "renew", *analyst)
    assert consortia("user", "renew", *analyst).exit_code == 0
    for number in range(rounds):
        name = f"new{rounds}-{number}"
        folder, file = tmp_path / name, tmp_path / f"{name}.json"
        profiles.create(folder, "bank-a", "analyst", name)
        invite = ("--config", seat.consortium.coordinator_config, "--institution", "bank-a", "--role", "analyst")
        assert consortia("network", "invite", *invite, "--name", name, "--out", file).exit_code == 0
        seat.spoilt(1, ("Enrolment",), "user", "enrol", "--profile", folder, "--invite", file)


def test_after_all_that_everybody_is_served(seat: Seat) -> None:
    """Runs last."""
    assert seat.consortium.running[0].exchange.connected() >= set(BANKS)
    assert consortia("job", "result", seat.job_id, "--profile", seat.folder("analyst")).exit_code == 0
    assert seat.consortium.run(spec("statistics", columns=["age"])).state == "finished"
