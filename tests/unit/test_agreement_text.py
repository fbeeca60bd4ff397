"""Agreements as text: the published schema, drafts that parse once they are filled in, differences by field."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from consortia_common.documents import agreement_schema
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.changes import Change, changes_between
from consortia_common.documents.kinds import names
from consortia_common.errors import DocumentError
from tests.support.cli import as_json, consortia
from tests.support.documents import AGREEMENT, agreement

ROOT = Path(__file__).parents[2]
OFFICERS = [{"name": name, "key": digit * 64} for name, digit in (("olga", "1"), ("otto", "2"))]


def parties(**changes: Any) -> list[dict[str, Any]]:
    """Each party with two officers, one of whom must sign; the first one changed."""
    found = [
        party | {"officers": [one | {"key": f"{n}{one['key'][1:]}"} for one in OFFICERS], "officers_needed": 1}
        for n, party in enumerate(AGREEMENT["parties"], 3)
    ]
    return [found[0] | changes, *found[1:]]


def test_the_published_schema_is_the_one_that_nodes_read_by() -> None:
    published = ROOT / "docs" / "schemas" / agreement_schema.FILE
    assert published.read_text() == agreement_schema.schema_text(), "run: python -m tests.tools.schemas"
    assert set(json.loads(published.read_text())["properties"]) == set(Agreement.model_fields)


def test_a_draft_names_every_field(tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    shown = consortia("agreement", "draft", file)
    assert shown.exit_code == 0, shown.output
    text = file.read_text()
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={agreement_schema.FILE}"
    assert (tmp_path / agreement_schema.FILE).exists()
    assert [name for name in Agreement.model_fields if f"{name}:" not in text] == []
    again = consortia("agreement", "draft", file)
    assert again.exit_code == 1
    assert "not overwritten" in again.stderr


def test_a_draft_is_an_agreement_once_it_is_filled_in() -> None:
    keys = (f"'{number:064x}'" for number in range(99))
    lines = [
        re.sub(r"^( *)#( *(?:- )?(?:[a-z_]+:|\{))", r"\1\2", line)
        for line in agreement_schema.TEMPLATE.splitlines()
        if not re.match(r"# |#(parent|geography|approvals):", line)
    ]
    text = re.sub(r"<fingerprint[^>]*>", lambda _: next(keys), "\n".join(lines))
    found = Agreement.from_yaml(re.sub(r"<[^>]*>", "risk", text), "the draft")
    assert (found.parties[0].officers_needed, found.retention_days) == (2, 365)
    assert {kind.kind for kind in found.job_kinds} <= set(names())


def test_the_next_version_differs_in_number_and_parent_only(tmp_path: Path) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(yaml.safe_dump(AGREEMENT))
    assert consortia("agreement", "draft", new, "--from", old).exit_code == 0
    told = as_json(consortia("agreement", "diff", old, new, "--json"))
    assert {change["field"] for change in told["changes"]} == {"version", "parent"}
    assert consortia("agreement", "diff", old, old).exit_code == 0
    shown = consortia("agreement", "diff", old, new)
    assert (shown.exit_code, "version" in shown.stdout) == (1, True)


def test_differences_are_told_by_name() -> None:
    old = {"parties": [{"institution": "a", "key": "1"}, {"institution": "b"}], "rows": 5, "tags": ["x"]}
    new = {"parties": [{"institution": "b"}, {"institution": "a", "key": "2"}], "tags": ["x", "y"], "more": None}
    assert changes_between(old, new) == [
        Change("parties.a.key", "1", "2"),
        Change("rows", 5, None),
        Change("tags", ["x"], ["x", "y"]),
    ]
    assert changes_between(old, old) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parties": parties(officers_needed=3)}, "officers_needed: 3 of the 2 officers"),
        ({"parties": parties(officers_needed=0)}, "officers_needed: 0 of the 2 officers"),
        ({"parties": parties(officers=[])}, "officers_needed: 1 of the 0 officers"),
        ({"parties": parties(officers=[OFFICERS[0]] * 2)}, "officers: an officer is named twice"),
        (
            {"parties": parties(key="1" * 64, officers=OFFICERS)},
            "two parties have one key, or two of their",
        ),
        ({"parties": parties(country="Germany")}, "parties.0.country: must have the form"),
        ({"parties": parties(contact="a\nb")}, "parties.0.contact: must have the form"),
        ({"geography": ["DE"]}, "geography: bank-a, bank-b, bank-c is in none of the countries"),
        ({"approvals": {"kinds": ["train"]}}, "approvals: bank-a, bank-b, bank-c names fewer than 1 officers"),
        ({"approvals": {"kinds": ["score"]}, "parties": parties()}, "approvals.kinds: score is not among"),
        ({"approvals": {"kinds": ["train"], "dual_control": True}}, "officers: dual control takes at least 2"),
        ({"approvals": {"kinds": ["train"], "hours": 0}}, "approvals.hours: must be greater"),
        ({"retention_days": 0}, "retention_days: must be greater"),
        ({"dispute": "x" * 501}, "dispute: must have at most 500"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentError) as refused:
        agreement(**changes)
    assert said in refused.value.what


def test_officers_are_found_by_their_keys() -> None:
    good = agreement(parties=parties(), approvals={"kinds": ["train"]})
    first = good.parties[0]
    assert first.officer(first.officers[1].key) == first.officers[1]
    assert first.officer("0" * 64) is None
