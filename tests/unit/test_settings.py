"""Settings: what is known is read, what is not is refused by name; the samples are read too."""

import re
from pathlib import Path

import pytest

from consortia_client.profile import ProfileSettings
from consortia_common.errors import SettingsError
from consortia_common.settings import Settings
from consortia_coordinator import config as coordinator_config
from consortia_coordinator.config import CoordinatorSettings
from consortia_coordinator.sample import COORDINATOR_TOML
from consortia_crypto.errors import ConsortiaError
from consortia_node import config as node_config
from consortia_node.config import NodeSettings
from consortia_node.errors import NotEnrolledError
from consortia_node.sample import NODE_TOML

NODE_SAMPLE = NODE_TOML.format(institution="bank-a")
COORDINATOR_SAMPLE = COORDINATOR_TOML.format(network="demo", listen="127.0.0.1:7443")


def _node(tmp_path: Path, text: str) -> NodeSettings:
    path = tmp_path / "node.toml"
    path.write_text(text)
    return node_config.load(path)


def _uncommented(sample: str) -> str:
    """The sample with every default and example line made active: those whose # has no space after it."""
    return re.sub(r"^#(?=[a-z\[A-Z])", "", sample, flags=re.MULTILINE)


def test_the_samples_are_settings(tmp_path: Path):
    assert _node(tmp_path, NODE_SAMPLE).institution == "bank-a"
    path = tmp_path / "coordinator.toml"
    path.write_text(COORDINATOR_SAMPLE)
    settings = coordinator_config.load(path)
    assert (settings.network, settings.public_address) == ("demo", "127.0.0.1:7443")


def test_the_samples_defaults_are_the_defaults(tmp_path: Path):
    plain, full = _node(tmp_path, NODE_SAMPLE), _node(tmp_path, _uncommented(NODE_SAMPLE))
    examples = {"network", "coordinator", "log_file", "metrics_listen"}
    assert plain.model_dump(exclude=examples) == full.model_dump(exclude=examples)
    path = tmp_path / "coordinator.toml"
    path.write_text(_uncommented(COORDINATOR_SAMPLE))
    defaults = CoordinatorSettings.model_fields
    loaded = coordinator_config.load(path)
    for name in ("heartbeat_seconds", "max_message_mib", "offer_seconds", "step_seconds", "dropout_seconds"):
        assert getattr(loaded, name) == defaults[name].default


@pytest.mark.parametrize(
    ("model", "sample"), [(NodeSettings, NODE_SAMPLE), (CoordinatorSettings, COORDINATOR_SAMPLE)]
)
def test_every_setting_is_in_its_sample(model: type[Settings], sample: str):
    shown = set(re.findall(r"^#?(?:\[\[)?([a-z_]+)(?: =|\]\])", sample, flags=re.MULTILINE))
    assert set(model.model_fields) <= shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("coordinatr = 'h:1'", r"node\.toml: there is no setting coordinatr; did you mean coordinator\?"),
        ("worker_seconds = -1", "worker_seconds"),
        ("coordinator = 'no port'", "coordinator"),
        ("= broken", "it is not TOML"),
    ],
)
def test_mistakes_are_named_by_file_and_key(tmp_path: Path, text: str, message: str):
    with pytest.raises(SettingsError, match=message) as refused:
        _node(tmp_path, f'institution = "bank-a"\n{text}')
    assert refused.value.blame == "whoever wrote node.toml"


def test_a_file_that_is_missing_or_not_text(tmp_path: Path):
    with pytest.raises(SettingsError, match="No such file"):
        node_config.load(tmp_path / "node.toml")
    (tmp_path / "node.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not TOML"):
        node_config.load(tmp_path / "node.toml")


def test_relative_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = _node(tmp_path, 'institution = "bank-a"\nlog_file = "/var/log/node.log"')
    monkeypatch.chdir("/")
    assert settings.folder == tmp_path
    assert settings.identity_file == tmp_path / "identity.key"
    assert settings.log_file == Path("/var/log/node.log")
    assert settings.datasets_file == tmp_path / "datasets.toml"
    assert settings.datasets == ()


def test_the_environment_goes_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONSORTIA_NODE__WORKER_SECONDS", "5")
    monkeypatch.setenv("CONSORTIA_COORDINATOR__LISTEN", "127.0.0.1:9")  # another part's
    assert _node(tmp_path, 'institution = "bank-a"\nworker_seconds = 7').worker_seconds == 5


@pytest.mark.parametrize(("name", "value"), [("WORKER_SECOND", "1"), ("WORKER_SECONDS", "soon"), ("DATASETS", "7")])
def test_mistakes_in_the_environment_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
):
    monkeypatch.setenv(f"CONSORTIA_NODE__{name}", value)
    with pytest.raises(SettingsError):
        _node(tmp_path, 'institution = "bank-a"')


def test_a_node_knows_its_network_from_enrolment(tmp_path: Path):
    with pytest.raises(NotEnrolledError, match="does not belong"):
        _node(tmp_path, 'institution = "bank-a"').require_enrolled()
    node_config.save_membership(tmp_path, "demo", "127.0.0.1:1")
    (tmp_path / "coordinator.json").touch()
    settings = _node(tmp_path, 'institution = "bank-a"').require_enrolled()
    assert (settings.network, settings.coordinator) == ("demo", "127.0.0.1:1")
    assert _node(tmp_path, 'institution = "bank-a"\ncoordinator = "nat:2"').coordinator == "nat:2"


@pytest.mark.parametrize("data", [b"", b"[]", b'{"coordinator":"h:1","network":7}', b'{"oops":1}'])
def test_a_damaged_membership_is_refused(tmp_path: Path, data: bytes):
    (tmp_path / "network.json").write_bytes(data)
    with pytest.raises(ConsortiaError):
        _node(tmp_path, 'institution = "bank-a"').require_enrolled()


def test_nothing_of_one_part_is_known_to_another():
    assert {NodeSettings.prefix(), CoordinatorSettings.prefix(), ProfileSettings.prefix()} == {
        "CONSORTIA_NODE__",
        "CONSORTIA_COORDINATOR__",
        "CONSORTIA_CLIENT__",
    }
