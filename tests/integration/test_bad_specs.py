"""Job specs that are not as they must be, or ask for what nobody allows: at the command line and at every gate."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from consortia_client.cli import main as cli
from consortia_common.documents.jobspec import JobSpec
from consortia_crypto.errors import ConsortiaError
from consortia_proto.v1 import network_pb2
from tests.support.consortium import Consortium
from tests.support.specs import spec
from tests.support.spoilt import check_explained, in_this_process, logged, reasons

GOOD: dict[str, Any] = json.loads(spec("statistics").canonical())


@pytest.fixture(autouse=True)
def _without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)


def parameters(**changes: Any) -> str:
    return yaml.safe_dump(GOOD | {"parameters": GOOD["parameters"] | changes})


def written(**changes: Any) -> str:
    return yaml.safe_dump(GOOD | changes)


def without(name: str) -> str:
    return yaml.safe_dump({key: value for key, value in GOOD.items() if key != name})


MALFORMED: list[tuple[str | bytes, str]] = [
    ("", "it is not a mapping of fields"),
    ("- a\n- b\n", "it is not a mapping of fields"),
    ("name: [unclosed\n", "line 2: while parsing"),
    ("\0\0\0", "a character that YAML does not allow"),
    ("!!python/object/apply:os.system ['true']", "a value can't have a tag"),
    (b"\xff\xfe\xfa", "it can't be read as UTF-8 text"),
    (b"\x89PNG\r\n\x1a\n" + bytes(100), "it can't be read as UTF-8 text"),
    (written(pruposes="x"), "pruposes: there is no such field"),
    (parameters(colour="red"), "colour: there is no such field"),
    (written(version=2), "version"),
    (written(kind="divination"), "there is no kind 'divination'"),
    (written(kind=["train"]), "kind"),
    (written(agreement="credit-risk"), "agreement"),
    (written(purpose="Credit Risk!"), "purpose"),
    (written(parties=["bank-a", "bank-a", "bank-b"]), "an institution is named twice"),
    (written(parties=["bank-a", "bank-b"]), "at least 3 institutions"),
    (written(parties="bank-a"), "parties"),
    (parameters(columns=["income", "income"]), "parameters.columns: one is named twice"),
    (parameters(columns=["income; DROP TABLE clients"]), "columns"),
    (parameters(decimals="many"), "decimals"),
    (parameters(decimals=-1), "decimals"),
    (parameters(categories={}), "region is not there, by whose categories"),
    (without("purpose"), "purpose: this field is required"),
    (without("parameters"), "parameters: this field is required"),
    ("x: " + "a" * (1 << 20), "it is longer than"),
    ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n", "there is no such field"),
    ("[" * 5000, "nested too deeply"),
    ("name: a\nname: b\n", "name is given twice"),
]


def consortia(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def explanation(result: Result) -> tuple[str, str, str]:
    """What the command line says of a refusal: three lines, and nothing else.

    Lines of JSON are the process log of the consortium that runs in this process.
    """
    lines = [line for line in result.stderr.strip().splitlines() if not line.startswith("{")]
    assert len(lines) == 3, result.stderr
    what, blame, remedy = (
        line.removeprefix(label).strip()
        for line, label in zip(lines, ("Refused:", "At fault:", "What to do:"), strict=True)
    )
    check_explained(what, blame, remedy)
    return what, blame, remedy


@pytest.mark.parametrize(("text", "words"), MALFORMED)
def test_a_malformed_spec_is_refused_by_check_and_by_submit_with_each_mistake(
    text: str | bytes, words: str, spoilt: Consortium, tmp_path: Path
) -> None:
    file = tmp_path / "job.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = logged(spoilt, "coordinator", "job.submitted")
    said = []
    for command in (("check", file), ("submit", file, "--profile", spoilt.root / "analyst")):
        result = consortia("job", *command)
        assert result.exit_code == 1
        what, blame, _ = explanation(result)
        assert words in what
        assert "wrote" in blame
        said.append(what)
    assert said[0] == said[1]
    assert logged(spoilt, "coordinator", "job.submitted") == before


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(GOOD | {"pruposes": 1, "version": 7, "agreement": "x"}))
    what, _, _ = explanation(consortia("job", "check", file))
    assert [name in what for name in ("pruposes", "version", "agreement")] == [True] * 3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = consortia("job", "check", tmp_path / "none.yaml")
    assert result.exit_code != 0
    assert "does not exist" in result.stderr


def test_the_command_line_explains_a_refused_job(spoilt: Consortium, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(written(purpose="marketing"))
    result = consortia("job", "submit", file, "--profile", spoilt.root / "analyst", "--wait")
    assert result.exit_code == 1
    for words in ("refused by", "purposes", "why", "at fault", "what to do", "The purpose asked for is marketing"):
        assert words in result.stdout, result.stdout


def refused(spoilt: Consortium, bad: JobSpec, clause: str, words: str) -> network_pb2.JobStatus:
    """Every party refuses ``bad`` by the same clause, on its own log."""
    status = spoilt.run(bad)
    assert status.state == "refused", status
    assert sorted(refusal.institution for refusal in status.refusals) == sorted(bad.parties)
    for refusal in status.refusals:
        failure = refusal.failure
        assert (failure.clause, words in failure.what) == (clause, True), failure
        check_explained(failure.what, failure.blame, failure.remedy)
        (decision,) = logged(spoilt, refusal.institution, "job.decided", status.job_id)
        assert (decision["decision"], decision["detail"]["clause"]) == ("refuse", clause)
    return status


def changed(**changes: Any) -> JobSpec:
    return JobSpec.from_value(GOOD | changes, "a test's spec")


@pytest.mark.parametrize(
    ("bad", "clause", "words"),
    [
        (changed(purpose="marketing"), "purposes", "marketing"),
        (changed(agreement="credit-risk@2"), "agreement", "credit-risk@2"),
        (changed(agreement="another@1"), "agreement", "another@1"),
        (spec("statistics", dataset="staff"), "datasets", "staff"),
        (spec("statistics", columns=["income", "salary_note"]), "datasets.columns", "salary_note"),
    ],
)
def test_what_the_agreement_does_not_allow(bad: JobSpec, clause: str, words: str, spoilt: Consortium) -> None:
    refused(spoilt, bad, clause, words)


def test_an_institution_that_has_no_node_is_named_at_once(spoilt: Consortium) -> None:
    with pytest.raises(ConsortiaError, match="names bank-x as a party, which has no node") as caught:
        spoilt.submit(changed(parties=["bank-a", "bank-b", "bank-x"]))
    check_explained(caught.value.what, caught.value.blame, caught.value.remedy)
    assert reasons(spoilt, "coordinator", "message.refused")[-1] == caught.value.what
    assert spoilt.run(spec("statistics")).state == "finished"
