"""The documentation is true where a program can tell: links lead somewhere, commands and options exist."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

from consortia_common.documents.agreement import Agreement
from consortia_common.documents.kinds import names, parameters_of

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"^ *consortia ([a-z]+) ([a-z]+)((?:.*\\\n)*.*)$", re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist_with_their_options(page: Path) -> None:
    for noun, verb, rest in COMMAND.findall(page.read_text()):
        options = {name for parameter in command(noun, verb).params for name in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest.split("#")[0])) <= options, f"{noun} {verb}"


@pytest.mark.parametrize("kind", names())
def test_every_parameter_of_a_kind_is_documented(kind: str) -> None:
    page = (ROOT / "docs" / "kinds" / f"{kind}.md").read_text()
    assert [name for name in parameters_of(kind).model_fields if f"`{name}`" not in page] == []


def test_every_field_of_an_agreement_is_documented() -> None:
    page = (ROOT / "docs" / "agreements.md").read_text()
    assert [name for name in Agreement.model_fields if f"`{name}`" not in page] == []


def test_every_page_is_reachable_from_the_index() -> None:
    seen: set[Path] = set()
    to_read = [ROOT / "README.md", ROOT / "docs" / "index.md"]
    while to_read:
        page = to_read.pop().resolve()
        if page in seen:
            continue
        seen.add(page)
        links = [(page.parent / link).resolve() for link in LINK.findall(page.read_text())]
        to_read += [link for link in links if link.suffix == ".md"]
    decisions = ROOT / "docs" / "adr"
    assert [name_of(page) for page in PAGES if page not in seen and decisions not in page.parents] == []


def command(noun: str, verb: str) -> click.Command:
    (entry,) = entry_points(group="consortia.commands", name=noun)
    group = entry.load()
    return group.commands[verb]
