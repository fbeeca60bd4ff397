"""What a bank's IT installs and reads: units that start what exists, and a page on which every alarm stands."""

import re
from configparser import RawConfigParser
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from consortia_coordinator import metrics as of_coordinator
from consortia_node import metrics as of_node
from tests.unit.test_docs import command

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy").glob("*.service"))
PAGE = (ROOT / "docs" / "operating.md").read_text()
WARNING = re.compile(r"logs\.(?:failure|warning)\(\s*\"([a-z_.]+)\"|partial\(logs\.failure, \"([a-z_.]+)\"")
CONDITIONAL = {"call.refused", "call.failed", "consent.run_out", "jobs.abandoned"}
"""Named where one of several is chosen, and not in the call."""


class Unit(RawConfigParser):
    """A unit file."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def section(unit: Path) -> dict[str, str]:
    parser = Unit(delimiters="=")
    parser.read(unit)
    return dict(parser["Service"])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_that_exists(unit: Path) -> None:
    _, noun, verb, *options = section(unit)["ExecStart"].split()
    known = {name for parameter in command(noun, verb).params for name in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= known
    assert options[-1].startswith(section(unit)["ReadWritePaths"] + "/")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_gives_its_process_no_more_than_it_needs_and_starts_it_again(unit: Path) -> None:
    said = section(unit)
    wanted = {
        "User": "consortia",
        "UMask": "0077",
        "Restart": "on-failure",
        "KillMode": "mixed",
        "ProtectSystem": "strict",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "LimitCORE": "0",
    }
    assert {key: said.get(key) for key in wanted} == wanted
    assert int(said["TimeoutStopSec"]) > 10


def test_there_is_a_unit_for_each_service() -> None:
    assert [unit.stem for unit in UNITS] == ["consortia-coordinator", "consortia-node"]


def test_every_metric_stands_on_the_page() -> None:
    made = [value for part in (of_coordinator, of_node) for value in vars(part).values()]
    names = [sample for each in made if isinstance(each, MetricWrapperBase) for sample in _samples(each)]
    assert len(names) >= 9
    assert [name for name in names if f"`{name}" not in PAGE] == []


def test_no_metric_is_made_up() -> None:
    told = set(re.findall(r"`(consortia_[a-z_]+)", PAGE))
    made = [value for part in (of_coordinator, of_node) for value in vars(part).values()]
    names = {sample for each in made if isinstance(each, MetricWrapperBase) for sample in _samples(each)}
    assert told <= names


def test_every_warning_of_the_process_log_stands_on_the_page() -> None:
    sources = [path for part in ("common", "node", "coordinator") for path in (ROOT / part).rglob("*.py")]
    found = {next(filter(None, names)) for path in sources for names in WARNING.findall(path.read_text())}
    told = set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", PAGE, re.MULTILINE))
    assert told == found | CONDITIONAL


def _samples(metric: MetricWrapperBase) -> list[str]:
    """As Prometheus shows it: counters get an ending."""
    return [f"{family.name}{'_total' if family.type == 'counter' else ''}" for family in metric.describe()]
