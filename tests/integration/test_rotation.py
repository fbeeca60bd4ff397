"""A new issuing key and a new root under a running network: members follow what a trusted root signed, alone."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consortia_client import profile as profiles
from consortia_client.profile import Profile
from consortia_common import keyfiles, pki, tls
from consortia_common.errors import CertificateError
from consortia_common.roots import Roots, SignedRoots
from consortia_coordinator import ca, network
from consortia_coordinator.errors import NetworkFolderError
from consortia_coordinator.registry import Registry
from consortia_coordinator.rotation import Rotation, load_root
from consortia_crypto.errors import ConsortiaError
from tests.integration.test_enrolment import Running, running  # noqa: F401  the fixture
from tests.support.cli import consortia


class Change:
    """A network with one member, whose root is to be changed."""

    def __init__(self, served: Running, folder: Path) -> None:
        self.served = served
        self.old, self.new = served.settings.folder / "root", folder / "new root"
        self.registry = Registry(served.store._engine)
        self.rotation = Rotation(served.settings, self.registry)
        self.ana = self.enrol("ana", folder)

    def enrol(self, name: str, folder: Path) -> Path:
        self.served.follow()
        profiles.create(folder / name, "bank-a", "analyst", name)
        profiles.enrol(folder / name, self.served.invite("bank-a", "analyst", name), now())
        return folder / name

    def follow(self, folder: Path) -> bool:
        """What the member's commands do, when the coordinator has looked at its folder."""
        self.served.follow()
        return bool(Profile.load(folder).renew())

    def show(self) -> None:
        """What the running coordinator does once a minute."""
        network.renew_server_certificate(self.served.settings, now())

    def logged(self) -> list[str]:
        return [order.type for order in self.registry._orders.waiting()]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def change(running: Running, tmp_path: Path) -> Change:  # noqa: F811
    return Change(running, tmp_path)


def roots_of(folder: Path) -> int:
    return len(pki.read_chain(keyfiles.read_file(folder / tls.CA_FILE)))


def issuer_of(folder: Path) -> str:
    return pki.digest(pki.read_chain(keyfiles.read_file(folder / tls.CHAIN_FILE))[1])


def test_a_new_issuing_key_is_in_use_at_once_and_members_renew(change: Change) -> None:
    before = issuer_of(change.ana)
    digest = change.rotation.reissue(change.old, now())
    assert change.rotation.behind() == ["bank-a/analyst/ana"]
    assert change.follow(change.ana)
    assert issuer_of(change.ana) == digest != before
    assert not change.follow(change.ana)
    assert change.rotation.behind() == []
    assert change.logged() == ["authority"]


def test_a_new_root_takes_over_from_the_old_one(change: Change, tmp_path: Path) -> None:
    change.rotation.begin(change.old, change.new, now())
    with pytest.raises(NetworkFolderError, match="have not fetched the list of roots yet: bank-a/analyst/ana"):
        change.rotation.reissue(change.new, now())
    assert change.follow(change.ana)
    assert roots_of(change.ana) == 2
    change.rotation.reissue(change.new, now())
    with pytest.raises(NetworkFolderError, match="does not show a certificate by the new"):
        change.rotation.retire(change.new, now())
    change.show()
    with pytest.raises(NetworkFolderError, match="no certificate under the new root yet: bank-a/analyst/ana"):
        change.rotation.retire(change.new, now())
    assert change.follow(change.ana)  # over a connection that shows a certificate under the new root
    bob = change.enrol("bob", tmp_path)  # somebody who comes during the change
    assert change.follow(bob)
    change.rotation.retire(change.new, now())
    for folder in (change.ana, bob, tmp_path / "ana"):
        change.follow(folder)
        assert keyfiles.read_file(folder / tls.CA_FILE) == load_root(change.new).certificate_pem
    cy = change.enrol("cy", tmp_path)  # and afterwards
    assert roots_of(cy) == 1
    assert Profile.load(cy).channel()


def test_who_was_away_is_cut_off_and_invited_anew(change: Change, tmp_path: Path) -> None:
    away = change.enrol("away", tmp_path)
    change.rotation.begin(change.old, change.new, now())
    change.rotation.reissue(change.new, now(), leave_behind=True)
    change.show()
    with pytest.raises(ConsortiaError, match="does not show a certificate of this network"):
        change.follow(away)
    profiles.enrol(away, change.served.invite("bank-a", "analyst", "away"), now())
    assert change.follow(away)


def test_a_step_that_was_cut_off_is_repeated(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever file was the last one to be written."""
    writes = Interrupted(keyfiles.write_file)
    monkeypatch.setattr(keyfiles, "write_file", writes)
    steps: list[Callable[[], object]] = [
        lambda: change.rotation.begin(change.old, change.new, now()),
        lambda: change.rotation.reissue(change.new, now(), leave_behind=True),
        lambda: change.rotation.retire(change.new, now(), leave_behind=True),
    ]
    for step in steps:
        for allowed in range(10):
            writes.left = allowed
            try:
                step()
            except InterruptedError:
                network.load_authority(change.served.settings)  # the coordinator could start
                writes.left = 100
                change.show()
            else:
                break
        writes.left = 100
        change.show()
    assert keyfiles.read_file(change.served.settings.folder / tls.CA_FILE) == load_root(change.new).certificate_pem


class Interrupted:
    """Writes so many files, then no more."""

    def __init__(self, write: Callable[..., None]) -> None:
        self.write, self.left = write, 100

    def __call__(self, *arguments: object, **options: object) -> None:
        self.left -= 1
        if self.left < 0:
            raise InterruptedError
        self.write(*arguments, **options)


def test_the_coordinator_alone_brings_no_root(change: Change) -> None:
    """Whoever has its folder, issuing key included, but no root."""
    settings = change.served.settings
    planted = ca.make_root("demo", now())
    said = Roots(network="demo", sequence=1, roots=(planted.certificate_pem.decode(),), at_ms=1)
    for signer in (planted, network.load_authority(settings)):
        keyfiles.write_file(settings.roots_file, SignedRoots(said.canonical(), said.sign(signer.key)).raw)
        with pytest.raises(CertificateError, match="no root that is trusted here"):
            change.follow(change.ana)
    keyfiles.write_file(settings.roots_file, b"garbage")
    with pytest.raises(ConsortiaError):
        change.follow(change.ana)
    assert roots_of(change.ana) == 1


@pytest.mark.parametrize("part", ["issuing", "root"])
def test_a_root_of_another_network_changes_nothing(change: Change, tmp_path: Path, part: str) -> None:
    network.save_root(tmp_path / "foreign", ca.make_root("demo", now()))
    config = change.served.settings.folder / "coordinator.toml"
    given = ("--config", config, "--root", tmp_path / "foreign", "--new", tmp_path / "x")
    done = consortia("network", "rotate", part, *given)
    assert done.exit_code == 1
    assert "members do not trust that root" in done.output
    assert change.logged() == []
    done = consortia("network", "rotate", part, "--config", config, "--root", tmp_path / "nowhere")
    assert done.exit_code != 0


def test_the_commands_say_what_comes_next(change: Change) -> None:
    config = change.served.settings.folder / "coordinator.toml"
    done = consortia("network", "rotate", "root", "--config", config, "--root", change.old, "--new", change.new)
    assert done.exit_code == 0, done.output
    assert "members trust 2 roots" in done.output
    assert "consortia network rotate issuing" in done.output
    command = ("network", "rotate", "issuing", "--config", config, "--root", change.new)
    assert "have not fetched" in consortia(*command).output
    assert consortia(*command, "--leave-behind").exit_code == 0
    change.show()
    done = consortia("network", "retire", "--config", config, "--root", change.new, "--leave-behind")
    assert "members trust the new root only" in done.output
    assert consortia("network", "rotate", "root", "--config", config, "--root", change.new).exit_code == 2
