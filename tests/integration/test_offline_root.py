"""A root that never comes near the operator's machine: requests and answers are files, and nothing else moves."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consortia_common import keyfiles, pki, tls
from consortia_common.roots import Roots, SignedRoots
from consortia_coordinator import ca, ceremony, config, network
from consortia_coordinator.registry import opened
from consortia_coordinator.rotation import load_root
from consortia_crypto.errors import ConsortiaError
from tests.support.cli import consortia


def now() -> datetime:
    return datetime.now(UTC)


class Network:
    """The operator's folder, and the keeper's: what goes from one to the other are files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder / "coordinator", folder / "root"
        self.config = self.folder / "coordinator.toml"
        self.carried = folder
        self.run("root", self.root, "--name", "demo")
        self.run(
            "init", self.folder, "--name", "demo", "--listen", "127.0.0.1:7443",
            "--root-certificate", self.root / "root.pem",
        )  # fmt: skip

    def run(self, *words: str | Path, status: int = 0) -> str:
        done = consortia("network", *words)
        assert done.exit_code == status, done.output
        return " ".join(done.output.split())

    def ask(self, part: str, root: Path, *more: str | Path) -> Path:
        """A request and the keeper's answer; both see the same digits."""
        asked, answer = self.carried / f"{part}.request", self.carried / f"{part}.answer"
        told = self.run("request", part, "--config", self.config, "--out", asked, *more)
        digits = ceremony.fingerprint_of(asked.read_bytes())
        assert digits in told
        assert digits in self.run("sign", "--root", root, "--out", answer, asked)
        return answer

    def install(self, answer: Path, *more: str, status: int = 0) -> str:
        return self.run("install", "--config", self.config, *more, answer, status=status)

    @property
    def issuer(self) -> bytes:
        return network.load_authority(config.load(self.config)).certificate_pem


@pytest.fixture
def made(tmp_path: Path) -> Network:
    return Network(tmp_path)


@pytest.fixture
def begun(made: Network) -> Network:
    made.install(made.ask("issuing", made.root))
    return made


def test_the_operator_never_has_the_root_s_key(begun: Network) -> None:
    """Its folder has a coordinator that can show itself, and no root's key."""
    settings = config.load(begun.config)
    assert tls.Credentials.load(settings.folder).ca_pem == (begun.root / "root.pem").read_bytes()
    key = keyfiles.load_p256(begun.root / "root.key").public_key()
    for file in begun.folder.rglob("*.key"):
        assert b"PRIVATE KEY" not in file.read_bytes() or keyfiles.load_p256(file).public_key() != key
    assert not settings.next_issuing_key_file.exists()
    network.renew_server_certificate(settings, now())
    out = begun.carried / "bank-a.json"
    begun.run(
        "invite", "--config", begun.config, "--institution", "bank-a", "--role", "node", "--out", out
    )  # fmt: skip
    assert out.exists()


def test_nothing_is_issued_before_the_answer(made: Network) -> None:
    out = made.carried / "x.json"
    made.run(
        "invite", "--config", made.config, "--institution", "bank-a", "--role", "node", "--out", out, status=1
    )  # fmt: skip


def test_a_new_issuing_key_and_a_new_root_follow_by_file(begun: Network, tmp_path: Path) -> None:
    """The whole rotation: issuing key; new root beside the old one; issuing key under it; the old one retired."""
    settings, first = config.load(begun.config), begun.issuer
    begun.install(begun.ask("issuing", begun.root))
    assert begun.issuer != first
    newer = tmp_path / "new root"
    begun.run("root", newer, "--name", "demo")
    new = ("--new", newer / "root.pem")
    assert "2 root" in begun.install(begun.ask("root", begun.root, *new))
    assert len(network.trusted(settings)) == 2
    retire = begun.ask("retire", newer, *new)
    assert "not under that root" in begun.install(retire, status=1)
    begun.install(begun.ask("issuing", newer))
    assert "does not show a certificate by the new issuing key" in begun.install(retire, status=1)
    network.renew_server_certificate(settings, now())
    for _ in range(2):  # what was cut off is given again
        assert "1 root" in begun.install(retire)
    assert network.trusted(settings) == [load_root(newer).certificate]
    with opened(settings) as known:
        noted = [order.said for order in known._orders.waiting()]
    assert sum("roots.changed" in said for said in noted) == 3
    assert sum("issuer.changed" in said for said in noted) == 2


def test_a_request_is_the_same_until_it_is_answered(made: Network) -> None:
    first, again = (ceremony.ask_for_issuing(config.load(made.config)) for _ in range(2))
    assert ceremony.fingerprint_of(first) == ceremony.fingerprint_of(again)
    stale = made.ask("issuing", made.root)
    made.install(stale)
    ceremony.ask_for_issuing(config.load(made.config))
    assert "another certificate's" in made.install(stale, status=1)


def false_answers(made: Network) -> dict[str, bytes]:
    """What is no answer of the root's to the open request."""
    root, strange = load_root(made.root), ca.make_root("demo", now())
    asked = pki.read_request(ceremony.ask_for_issuing(config.load(made.config)))
    other = ca.make_issuing(root, "demo", now())
    old = ca.certify_issuing(root, asked, "demo", now() - timedelta(days=800))
    leaf = ca.issue(root, asked, pki.Subject("demo", "bank-a", "node", "node"), now())
    planted = Roots(
        network="demo", sequence=1, at_ms=1,
        roots=(root.certificate_pem.decode(), strange.certificate_pem.decode()),
    )  # fmt: skip
    without = Roots(network="demo", sequence=1, at_ms=1, roots=(strange.certificate_pem.decode(),) * 2)
    return {
        "another root's": pki.pem(ca.certify_issuing(strange, asked, "demo", now())),
        "another key's": other.certificate_pem,
        "expired": pki.pem(old),
        "no authority's": leaf.split(b"-----END CERTIFICATE-----")[0] + b"-----END CERTIFICATE-----\n",
        "a root's own": root.certificate_pem,
        "a stranger's list": SignedRoots(planted.canonical(), planted.sign(strange.key)).raw,
        "a list without the present root": SignedRoots(without.canonical(), without.sign(root.key)).raw,
        "garbage": b"garbage",
        "nothing": b"",
    }


def test_what_the_root_has_not_answered_is_not_installed(begun: Network, tmp_path: Path) -> None:
    before, trusted = begun.issuer, network.trusted(config.load(begun.config))
    for why, answer in false_answers(begun).items():
        file = tmp_path / "false"
        file.write_bytes(answer)
        assert "Refused: " in begun.install(file, status=1), why
        assert begun.issuer == before, why
        assert network.trusted(config.load(begun.config)) == trusted, why


@pytest.mark.parametrize("asked", [b"", b"garbage", b"-----BEGIN CERTIFICATE REQUEST-----\n", b"{}"])
def test_the_keeper_signs_no_garbage(asked: bytes, made: Network) -> None:
    with pytest.raises(ConsortiaError):
        ceremony.sign(load_root(made.root), asked, now())


def test_another_network_s_root_makes_no_network(tmp_path: Path) -> None:
    network.save_root(tmp_path / "root", ca.make_root("other", now()))
    given = ("--name", "demo", "--listen", "127.0.0.1:7443", "--root-certificate", tmp_path / "root" / "root.pem")
    done = consortia("network", "init", tmp_path / "coordinator", *given)
    assert done.exit_code == 1
    assert "not the root of a network demo" in done.output
