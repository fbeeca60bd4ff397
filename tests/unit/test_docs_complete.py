"""Nothing that a person can set, type or receive is missing from the documentation."""

import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from consortia_client.cli.main import GROUP, NOUNS, main
from consortia_client.profile import ProfileSettings
from consortia_common.documents.kinds import names
from consortia_common.documents.strategies import STRATEGY_SETTINGS
from consortia_common.settings import Settings
from consortia_coordinator.config import CoordinatorSettings
from consortia_coordinator.jobs import JobState
from consortia_node.config import NodeSettings
from consortia_node.datasets import ColumnSettings, DatasetSettings

ROOT = Path(__file__).parents[2]
PAGES = {path: path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]}
SETTINGS = PAGES[ROOT / "docs" / "settings.md"]
PARTS = {"coordinator.toml": CoordinatorSettings, "node.toml": NodeSettings, "profile.toml": ProfileSettings}


def section(title: str) -> str:
    return SETTINGS.split(f"## `{title}`")[1].split("\n## ")[0]


@pytest.mark.parametrize(("file", "part"), PARTS.items())
def test_every_setting_is_documented(file: str, part: type[Settings]) -> None:
    told = set(re.findall(r"`([a-z_]+)`", section(file)))
    assert set(part.model_fields) - told == set()
    assert part.prefix() in SETTINGS


def test_every_key_of_a_dataset_and_a_column_is_documented() -> None:
    told = set(re.findall(r"`([a-z_]+)`", PAGES[ROOT / "docs" / "datasets.md"]))
    assert (set(DatasetSettings.model_fields) | set(ColumnSettings.model_fields)) - told == set()


@pytest.mark.parametrize("part", [CoordinatorSettings, NodeSettings])
def test_defaults_are_the_documented_ones(part: type[Settings]) -> None:
    for name, value in re.findall(r"^\| `([a-z_]+)` \| ([0-9.]+) \|", SETTINGS, re.MULTILINE):
        if name in part.model_fields:
            assert part.model_fields[name].default == float(value), name


def commands() -> Iterator[tuple[str, str]]:
    for noun in NOUNS:
        (entry,) = entry_points(group=GROUP, name=noun)
        group = entry.load()
        assert isinstance(group, click.Group)
        yield from ((noun, verb) for verb in group.commands)


@pytest.mark.parametrize(("noun", "verb"), list(commands()))
def test_every_command_is_mentioned_and_explains_itself(noun: str, verb: str) -> None:
    assert any(f"consortia {noun} {verb}" in text for text in PAGES.values())
    shown = CliRunner().invoke(main, [noun, verb, "--help"])
    assert shown.exit_code == 0
    assert "Usage:" in shown.output


def test_kinds_states_and_strategies_are_documented() -> None:
    specs = PAGES[ROOT / "docs" / "job-specs.md"]
    assert [kind for kind in names() if f"kinds/{kind}.md" not in specs] == []
    assert [state for state in JobState if f"`{state}`" not in specs] == []
    train = PAGES[ROOT / "docs" / "kinds" / "train.md"]
    assert [strategy for strategy in STRATEGY_SETTINGS if strategy not in train] == []


def test_no_page_names_a_machine_s_paths() -> None:
    assert [path.name for path, text in PAGES.items() if re.search(r"/(root|home|work|tmp)/", text)] == []
