"""Job specs: each mistake is told, in the reader's own file, with its field; good ones have one canonical form."""

from typing import Any

import pytest
import yaml

from consortia_common.documents.base import MAX_DOCUMENT_BYTES
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_common.documents.kinds import names, parameters_of
from consortia_common.errors import DocumentError
from tests.support.specs import spec

HISTOGRAM = {"parameters.histograms": ["age"]}
SPECS = {kind: spec(kind) for kind in ("statistics", "train", "score")}


def changed(kind: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The good spec with ``changes``; a dotted name reaches into the parameters, None takes a field away."""
    value: dict[str, Any] = SPECS[kind].model_dump(mode="json")
    for name, new in changes.items():
        *path, last = name.split(".")
        place = value
        for part in path:
            place = place[part]
        if new is None:
            del place[last]
        else:
            place[last] = new
    return value


def refusal(kind: str, changes: dict[str, Any]) -> str:
    with pytest.raises(DocumentError) as refused:
        JobSpec.from_yaml(yaml.safe_dump(changed(kind, changes)), "my-job.yaml")
    assert refused.value.what.startswith("my-job.yaml was refused: ")
    assert refused.value.blame == "whoever wrote my-job.yaml"
    return refused.value.what.removeprefix("my-job.yaml was refused: ")


@pytest.mark.parametrize("kind", SPECS)
def test_a_good_spec_has_one_form(kind: str) -> None:
    good = SPECS[kind]
    again = JobSpec.from_yaml(yaml.safe_dump(changed(kind, {})), "again")
    assert again.canonical() == good.canonical()
    assert JobSpec.from_canonical(good.canonical(), "again") == good
    assert type(again.parameters) is parameters_of(kind)
    assert names() == ["evaluate", "score", "statistics", "train"]


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("train", {"version": 2}, "version: must be 1"),
        ("train", {"colour": "red"}, "colour: there is no such field"),
        ("train", {"name": None}, "name: this field is required"),
        ("train", {"name": "My Job"}, "name: must be lower-case"),
        ("train", {"agreement": "credit-risk"}, "agreement: must have the form"),
        ("train", {"agreement": "credit-risk@0"}, "agreement: must have the form"),
        ("train", {"parties": ["bank-a", "bank-a", "bank-b"]}, "parties: an institution is named twice"),
        ("train", {"parties": ["bank-a", "bank-b"]}, "parties: train needs at least 3 institutions"),
        ("train", {"parties": "bank-a"}, "parties: must be a list"),
        ("train", {"kind": "tree"}, "kind: there is no kind 'tree'; there are evaluate, score, statistics, train"),
        ("train", {"kind": "../train"}, "kind: must be lower-case"),
        ("train", {"kind": None}, "kind: this field is required"),
        ("train", {"parameters": None}, "parameters: this field is required"),
        ("train", {"parameters": []}, "parameters: must be"),
        ("train", {"parameters.colour": 1}, "parameters.colour: there is no such field"),
        ("train", {"parameters.features": ["x", "x"]}, "parameters.features: a feature is named twice"),
        (
            "train",
            {"parameters.categories": {"age": [1, "1"]}},
            "parameters.categories.age: a category is named twice",
        ),
        ("train", {"parameters.prepare": {"age": {"fill": "1e20"}}}, "parameters.prepare.age.fill"),
        ("train", {"parameters.features": ["default"]}, "parameters.label: the label is also a feature"),
        ("train", {"parameters.features": ["x; DROP TABLE"]}, "parameters.features.0: must be letters"),
        ("train", {"parameters.features": []}, "parameters.features: must have at least 1 item"),
        ("train", {"parameters.test_dataset": "clients"}, "parameters.test_dataset: the model would be tested"),
        ("train", {"parameters.model.rounds": 0}, "parameters.model.rounds: must be greater"),
        ("train", {"parameters.model.rounds": 10**30}, "parameters.model.rounds: "),
        ("train", {"parameters.model.rounds": "many"}, "parameters.model.rounds: must be a whole number"),
        ("train", {"parameters.model.learning_rate": "0"}, "learning_rate: must be greater than 0"),
        ("train", {"parameters.model.clip": ".inf"}, "parameters.model.clip: must be a number"),
        ("train", {"parameters.model": {}}, "parameters.model: must say its type"),
        ("train", {"parameters.model": {"type": "forest"}}, "parameters.model: the type must be one of 'logistic"),
        ("train", {"parameters.model": "trees"}, "parameters.model: must be a mapping of fields"),
        ("train", {"parameters.weight": "default"}, "parameters.weight: the label is also the weight"),
        ("train", {"parameters.prepare": {"x": {"low": 1}}}, "parameters.prepare.x: it is none of the features"),
        ("train", {"parameters.test_dataset": "<dataset>"}, "parameters.test_dataset: is still to be filled in"),
        ("train", {"parameters.noise": {"epsilon": "much"}}, "parameters.noise.epsilon: must be a number"),
        ("statistics", {"parameters.place": "perhaps"}, "parameters.place: must be true or false"),
        ("train", {"parameters.model.l2": "NaN"}, "parameters.model.l2: must be a finite number"),
        ("train", {"parameters.model.word_bits": 48}, "model.word_bits: must be 16, 24, 32 or 64"),
        ("train", {"parameters.model.strategy": {"name": "Krum"}}, "model.strategy: Krum compares single"),
        ("statistics", {"parameters.categories": {}}, "categories: region is not there, by whose categories"),
        ("statistics", {"parameters.by": []}, "parameters.categories.region: nothing is divided by it"),
        ("statistics", {"parameters.by": ["region", "region"]}, "parameters.by: one is named twice"),
        ("statistics", {"parameters.categories": {"region": [1, "1"]}}, "categories.region: one is named twice"),
        ("statistics", {"parameters.categories": {"region": ["other"]}}, 'or "other" is named'),
        ("statistics", {"parameters.categories": {"region": [10**10]}}, "region.0: a category is a whole number"),
        ("statistics", {"parameters.categories": {"region": ["a\nb"]}}, "region.0: a category is a whole number"),
        ("statistics", {"parameters.columns": ["age", "age"]}, "parameters.columns: one is named twice"),
        ("statistics", {"parameters.histograms": ["age"]}, "parameters.ranges: age is not there, whose range"),
        ("statistics", {"parameters.ranges": {"age": [0, 9]}}, "parameters.ranges.age: nothing is divided by it"),
        ("statistics", HISTOGRAM | {"parameters.ranges": {"age": [9, 9]}}, "the lowest is not below the highest"),
        ("statistics", HISTOGRAM | {"parameters.ranges": {"age": [0, "0.001"]}}, "more decimals than the 2 that"),
        ("statistics", HISTOGRAM | {"parameters.ranges": {"age": [0, 10**8]}}, "age: too large for 2 decimals"),
        ("statistics", {"parameters.information": ["age"]}, "information: age needs categories or a range"),
        ("statistics", {"parameters.information": ["region"], "parameters.label": None}, "needs a label"),
        ("statistics", {"parameters.crosstabs": [["region", "region"]]}, "parameters.crosstabs: of one column"),
        ("statistics", {"parameters.compare": {"column": "region", "base": 1}}, "compare: needs histograms"),
        ("statistics", {"parameters.compare": {"column": "region", "base": 7}}, "none of the column's categories"),
        ("statistics", {"parameters.noise": {"epsilon": "1"}}, "noise needs the range of income, age too"),
        ("statistics", {"parameters.columns": [], "parameters.noise": {"epsilon": "100"}}, "would be too coarse"),
        ("statistics", {"parameters.decimals": 7}, "parameters.decimals: must be less than or equal to 6"),
        ("score", {"parties": ["bank-a", "bank-b", "bank-c"]}, "parties: exactly the data owner and the model"),
        ("score", {"parameters.model_owner": "bank-a"}, "parties: exactly the data owner and the model owner"),
        ("score", {"parameters.features": ["x", "x"]}, "parameters.features: a feature is named twice"),
        ("score", {"parameters.max_rows": 0}, "parameters.max_rows: must be greater"),
    ],
)  # fmt: skip
def test_each_mistake_is_told(kind: str, changes: dict[str, Any], said: str) -> None:
    assert said in refusal(kind, changes)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("FedAvg", {"eta": "0.1"}, "FedAvg has no eta"),
        ("FedAvgM", {"server_momentum": "1"}, "server_momentum must be below 1"),
        ("FedAdam", {"beta_2": "1.5"}, "beta_2 must be below 1"),
        ("FedYogi", {"tau": "0"}, "tau must be above 0"),
        ("FedAdam", {"eta": "1e999999"}, "settings.eta: must be less"),
        ("FedAdam", {"eta": "-1"}, "settings.eta: must be greater"),
        ("FedAdam", {"Eta": "1"}, "settings.Eta"),
    ],
)
def test_settings_that_a_strategy_can_not_work_with(name: str, settings: dict[str, str], said: str) -> None:
    assert said in refusal("train", {"parameters.model.strategy": {"name": name, "settings": settings}})


def test_all_mistakes_are_told_at_once() -> None:
    said = refusal("train", {"name": "My Job", "parties": 5, "parameters.max_rows": 0, "parameters.x": 1})
    assert [part.split(": ")[0] for part in said.split("; ")] == [
        "name", "parties", "parameters.max_rows", "parameters.x"
    ]  # fmt: skip
    many = refusal("train", {f"field{number}": number for number in range(50)})
    assert many.count("there is no such field") == 10


@pytest.mark.parametrize("text", ["", "[]", "a", "5", "- a: 1"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="not a mapping of fields"):
        JobSpec.from_yaml(text, "my-job.yaml")


def test_a_line_is_told_and_length_is_bounded() -> None:
    with pytest.raises(DocumentError, match=r"my-job.yaml was refused: line 2: version is given twice"):
        JobSpec.from_yaml("version: 1\nversion: 1", "my-job.yaml")
    with pytest.raises(DocumentError, match="longer than"):
        JobSpec.from_yaml("#" * (MAX_DOCUMENT_BYTES + 1), "my-job.yaml")
    with pytest.raises(DocumentError, match="longer than"):
        JobSpec.from_canonical(b" " * (MAX_DOCUMENT_BYTES + 1), "my-job.yaml")


def test_a_submission_has_an_id_for_every_byte() -> None:
    good = {
        "network": "lab",
        "spec": changed("train", {}),
        "nonce": "0" * 32,
        "submitted_ms": 5,
        "analyst": "a" * 64,
    }
    submission = Submission.from_value(good, "a submission")
    assert Submission.from_canonical(submission.canonical(), "a submission").job_id == submission.job_id
    others = [
        {"nonce": "1" * 32},
        {"submitted_ms": 6},
        {"network": "other"},
        {"spec": changed("train", {"name": "b"})},
    ]
    ids = {Submission.from_value(good | change, "a submission").job_id for change in others}
    assert len(ids | {submission.job_id}) == 5
    for bad in ({"submitted_ms": 2**53}, {"submitted_ms": -1}, {"nonce": "x"}, {"analyst": "ana"}, {"v": 2}):
        with pytest.raises(DocumentError):
            Submission.from_value(good | bad, "a submission")
