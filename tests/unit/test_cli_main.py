"""The `consortia` command: every noun found, help complete and instant, absence explained."""

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from consortia_client.cli import main as cli
from consortia_node.cli import node

HEAVY = ("grpc", "tenseal", "flwr", "sqlalchemy", "numpy", "duckdb", "structlog", "pydantic", "cryptography")


def _consortia(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def test_every_noun_is_described_and_no_other():
    assert set(cli.NOUNS) == {entry.name for entry in entry_points(group=cli.GROUP)}


def test_help_lists_the_nouns():
    for option in ("--help", "-h"):
        shown = _consortia(option)
        assert shown.exit_code == 0
        assert all(f"  {noun} " in shown.output for noun in cli.NOUNS)


def test_the_version_is_told():
    assert _consortia("--version").output.startswith("consortia, version ")


def test_help_loads_nothing_heavy():
    program = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from consortia_client.cli.main import main\n"
        "import consortia_client.cli.user, consortia_coordinator.cli, consortia_node.cli\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"


def _commands(command: click.Command) -> list[click.Command]:
    children = command.commands.values() if isinstance(command, click.Group) else ()
    return [command, *(found for child in children for found in _commands(child))]


@pytest.mark.parametrize("noun", cli.NOUNS)
def test_every_command_and_option_has_help(noun: str):
    (entry,) = entry_points(group=cli.GROUP, name=noun)
    for command in _commands(entry.load()):
        assert command.help
        assert command.get_short_help_str(200).endswith(".")
        for parameter in command.params:
            assert isinstance(parameter, click.Argument) or parameter.help, f"{command.name} {parameter.name}"
            if isinstance(parameter, click.Argument):
                names = (parameter.metavar or parameter.name or "?").upper().strip("[]…").split("|")
                assert all(name in command.help for name in names)


def test_an_unknown_noun_is_a_usage_error():
    shown = _consortia("nod")
    assert shown.exit_code == 2
    assert "No such command" in shown.output


@pytest.mark.parametrize(
    ("noun", "missing", "advice"),
    [("network", "sqlalchemy", 'pip install "consortia[coordinator]"'), ("node", "duckdb", "consortia[node]")],
)
def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch, noun: str, missing: str, advice: str):
    def absent(_: EntryPoint) -> None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(EntryPoint, "load", absent)
    shown = _consortia(noun, "--help")
    assert shown.exit_code == 1
    assert missing in shown.stderr
    assert advice in shown.stderr


@pytest.mark.parametrize(("missing", "advised"), [("duckdb", True), ("consortia_node.absent", False)])
def test_a_library_that_is_missing_at_work(monkeypatch: pytest.MonkeyPatch, missing: str, advised: bool):
    def work(**_: object) -> None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(node.commands["init"], "callback", work)
    shown = _consortia("node", "init", "x", "--institution", "bank-a")
    assert shown.exit_code == 1
    assert ("consortia[node]" in shown.stderr) is advised  # no extra would bring back our own modules


def test_a_network_is_made_and_invites(tmp_path: Path):
    folder = tmp_path / "network"
    made = _consortia("network", "init", folder, "--name", "demo", "--listen", "127.0.0.1:1")
    assert made.exit_code == 0, made.output
    assert "offline" in made.stderr
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*.key"))
    again = _consortia("network", "init", folder, "--name", "demo", "--listen", "127.0.0.1:1")
    assert (again.exit_code, "not empty" in again.stderr) == (1, True)
    invitation = tmp_path / "bank-a.json"
    invited = _consortia("network", "invite", "--config", folder / "coordinator.toml", "--institution", "bank-a",
                         "--role", "node", "--out", invitation)  # fmt: skip
    assert invited.exit_code == 0, invited.output
    assert invitation.stat().st_mode & 0o777 == 0o600


def test_nobody_is_invited_as_the_coordinator(tmp_path: Path):
    folder = tmp_path / "network"
    _consortia("network", "init", folder, "--name", "demo", "--listen", "127.0.0.1:1")
    refused = _consortia("network", "invite", "--config", folder / "coordinator.toml", "--institution",
                         "coordinator", "--role", "node", "--out", tmp_path / "x")  # fmt: skip
    assert (refused.exit_code, "nobody can be invited" in refused.stderr) == (1, True)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["Demo", "demo net", "", "../x", "a" * 64])
def test_a_network_needs_a_proper_name(tmp_path: Path, name: str):
    refused = _consortia("network", "init", tmp_path / "n", "--name", name, "--listen", "127.0.0.1:1")
    assert refused.exit_code == 1
    assert not (tmp_path / "n").exists()


def test_a_node_is_made_once(tmp_path: Path):
    made = _consortia("node", "init", tmp_path / "a", "--institution", "bank-a")
    assert made.exit_code == 0, made.output
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert {path.name for path in (tmp_path / "a").iterdir()} == {
        "data", "log", "identity.key", "node.toml", "datasets.toml", "tls.key"
    }  # fmt: skip
    assert _consortia("node", "init", tmp_path / "a", "--institution", "bank-a").exit_code == 1


@pytest.mark.parametrize("command", ["run", "status"])
def test_a_node_that_is_not_there_says_so(tmp_path: Path, command: str):
    missing = _consortia("node", command, "--config", tmp_path / "node.toml")
    assert missing.exit_code == 1
    assert "No such file" in missing.stderr


def test_the_status_of_a_node_that_does_not_run(tmp_path: Path):
    _consortia("node", "init", tmp_path / "a", "--institution", "bank-a")
    shown = _consortia("node", "status", "--config", tmp_path / "a" / "node.toml")
    assert shown.exit_code == 1
    assert "nothing listens there" in shown.stderr


def test_a_profile_that_is_not_enrolled_says_so(tmp_path: Path):
    made = _consortia(
        "user", "init", tmp_path / "p", "--institution", "bank-a", "--name", "ana", "--role", "analyst"
    )
    assert made.exit_code == 0, made.output
    shown = _consortia("user", "show", "--profile", tmp_path / "p")
    assert shown.exit_code == 1
    assert "consortia user enrol" in shown.stderr
    rubbish = tmp_path / "x.json"
    rubbish.write_text("{}")
    refused = _consortia("user", "enrol", "--profile", tmp_path / "p", "--invite", rubbish)
    assert refused.exit_code == 1
    assert "the invitation" in refused.stderr
