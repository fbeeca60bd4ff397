"""Job specs as text: a new one explains itself, each mistake is shown where it stands, editors know the schema."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from pydantic import TypeAdapter

from consortia_client.errors import ClientError
from consortia_client.offering import OfferedColumn, OfferedDataset, Offering, newest
from consortia_client.starting import text
from consortia_common.documents import job_schema, strict_yaml
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.kinds import names, parameters_of
from consortia_common.errors import DocumentError
from tests.support.cli import as_json, consortia, use_session
from tests.support.documents import agreement as make_agreement

ROOT = Path(__file__).parents[2]
SPEC = """\
version: 1
name: a-job
kind: train
agreement: credit-risk@1
purpose: credit-risk-model
parties: [bank-a, bank-b, bank-c]
parameters:
  dataset: clients
  features: [income, age]
  label: default
  model: {type: logistic_regression}
"""


def offering() -> Offering:
    columns = (
        OfferedColumn("income", "number", "feature", "CNY", "monthly income", "0 to 50000"),
        OfferedColumn("region", "category"),
        OfferedColumn("default", "boolean", "label"),
    )
    parties = ("bank-a", "bank-b", "bank-c")
    return Offering(
        "credit-risk@2", ("scoring",), parties, tuple(names()), (OfferedDataset("clients", parties, columns),)
    )


def mistakes(spec: str) -> list[tuple[int, int, str]]:
    with pytest.raises(DocumentError) as refused:
        JobSpec.from_yaml(spec, "a.yaml")
    return [(found.line, found.column, found.text) for found in refused.value.mistakes]


@pytest.mark.parametrize("kind", names())
def test_a_new_spec_names_every_parameter_and_says_what_it_means(kind: str) -> None:
    spec = text(kind)
    for name, field in parameters_of(kind).model_fields.items():
        (line,) = [line for line in spec.splitlines() if re.match(rf"  #?{name}: ", line)]
        assert line.startswith("  #") != field.is_required()
        assert field.description, name
        assert " ".join(field.description.split()) in line


@pytest.mark.parametrize("kind", names())
def test_examples_can_be_taken_as_they_stand(kind: str) -> None:
    """Each in a line of the new spec, and of the field's type."""
    spec = text(kind)
    for name, field in parameters_of(kind).model_fields.items():
        for example in field.examples or ():
            TypeAdapter(field.annotation).validate_python(example)
            (line,) = [line for line in spec.splitlines() if re.match(rf"  #?{name}: ", line)]
            assert yaml.safe_load(line.partition(" Such as: ")[2] or line.partition(": ")[2]) == example


@pytest.mark.parametrize("kind", names())
def test_what_is_left_to_fill_in_is_refused_where_it_stands(kind: str) -> None:
    spec = text(kind)
    lines = spec.splitlines()
    for line, _, told in mistakes(spec):
        assert "<" in lines[line - 1], told


@pytest.mark.parametrize("kind", ["train", "score"])
def test_what_is_offered_is_filled_in(kind: str) -> None:
    spec = text(kind, offering())
    assert "#     income   number, CNY: monthly income (0 to 50000)" in spec
    found = JobSpec.from_yaml(spec.replace("<model>", "m"), "the spec")
    assert (found.agreement, found.purpose) == ("credit-risk@2", "scoring")
    assert found.parameters.reads("bank-a")[0].columns[0] == "income"
    assert "region" not in found.parameters.reads("bank-a")[0].columns


@pytest.mark.parametrize("kind", names())
def test_defaults_that_are_shown_are_those_that_are_used(kind: str) -> None:
    """With every # taken away, the spec reads as the same one."""
    base = text(kind, offering()).replace("<model>", "m")
    shown = re.sub(r"^  #(?=[a-z_0-9]+: )", "  ", base, flags=re.MULTILINE)
    try:
        expected = JobSpec.from_yaml(base, "the spec")
    except DocumentError:
        pytest.skip("a parameter can't be known beforehand")
    assert JobSpec.from_yaml(shown, "the spec") == expected


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("version: 1", "version: 2", (1, 1)),
        ("  label: default\n", "", (7, 1)),
        ("[income, age]", "[income, 'a b']", (9, 22)),
        ("  label: default", "  label: default\n  roundz: 3", (11, 3)),
        ("label: default", "label: age", (10, 3)),
        ("[bank-a, bank-b, bank-c]", "[bank-a, bank-b, bank-b]", (6, 1)),
        ("kind: train", "kind: [train", (4, 10)),
        (SPEC, "[]", (1, 1)),
    ],
)
def test_a_mistake_is_placed(old: str, new: str, place: tuple[int, int]) -> None:
    (found,) = mistakes(SPEC.replace(old, new))
    assert found[:2] == place, found


def test_places_follow_aliases_and_lead_to_the_nearest_that_is_there() -> None:
    marked = strict_yaml.load_marked("a: &x\n  b: [1, 2]\nc: *x\n")
    assert marked.value == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}
    assert marked.place(("c", "b", 1)) == strict_yaml.Place(2, 10)
    assert marked.place(("c", "none")) == strict_yaml.Place(3, 1)
    assert strict_yaml.load_marked("").place(("a",)) is None


def test_check_shows_the_line_and_guesses_what_was_meant(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(SPEC + "  roundz: 3\n  qqq: 1\n")
    shown = consortia("job", "check", file)
    assert shown.exit_code == 1
    assert f"{file}:12:3: parameters.roundz: there is no such field; did you mean rounds?" in shown.stdout
    assert "│   roundz: 3\n  │   ^\n" in shown.stdout
    assert "parameters.qqq: there is no such field\n" in shown.stdout
    assert "whoever wrote" in shown.stderr
    told = as_json(consortia("job", "check", file, "--json"))
    assert [(one["line"], one["column"]) for one in told["mistakes"]] == [(12, 3), (13, 3)]
    file.write_text(SPEC)
    assert as_json(consortia("job", "check", file, "--json"))["mistakes"] == []
    assert "well-formed train job" in consortia("job", "check", file).stdout


def test_new_writes_spec_and_schema_and_overwrites_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "job.yaml"
    assert consortia("job", "new", "train", file).exit_code == 0
    assert file.read_text() == text("train")
    assert (tmp_path / job_schema.FILE).read_text() == job_schema.schema_text()
    again = consortia("job", "new", "train", file)
    assert again.exit_code == 1
    assert "is there already" in again.stderr
    agreements = [make_agreement()]
    use_session(
        monkeypatch,
        SimpleNamespace(agreements=lambda: agreements, offering=lambda agreement, _: Offering.of(agreement)),
    )
    other = tmp_path / "other.yaml"
    made = consortia("job", "new", "train", other, "--profile", tmp_path)
    assert made.exit_code == 0, made.output
    assert make_agreement().short in other.read_text()


def test_the_newest_version_is_taken_and_a_choice_is_left_to_the_analyst() -> None:
    first = make_agreement()
    second = make_agreement(version=2, parent=first.hash())
    other = make_agreement(id="other")
    assert newest([second, first], "", "train") == second
    assert newest([first, second], first.short, "train") == first
    with pytest.raises(ClientError, match="2 agreements"):
        newest([first, other], "", "train")
    with pytest.raises(ClientError, match="no agreements"):
        newest([first], "nothing", "train")
    found = Offering.of(first)
    assert found.parties == tuple(party.institution for party in first.parties)
    assert found.datasets[0].owners == first.datasets[0].owners


def test_the_published_schema_is_that_of_the_models() -> None:
    published = ROOT / "docs" / "schemas" / job_schema.FILE
    assert published.read_text() == job_schema.schema_text(), "run: python -m tests.tools.schemas"
    found = job_schema.schema()
    assert set(found["properties"]) == set(JobSpec.model_fields)
    for kind in names():
        assert set(found["$defs"][kind]["properties"]) == set(parameters_of(kind).model_fields)
    references = set(re.findall(r'"#/\$defs/([^"]+)"', job_schema.schema_text()))
    assert references <= set(found["$defs"])
    assert {"rounds", "purpose", "name"} <= job_schema.field_names()
