"""`consortia agreement`, `consent` and `model`: what an institution's people see and what their node is asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from consortia_common.documents.fitted import Model
from consortia_proto.v1 import control_pb2 as pb
from tests.support.cli import StubNode, as_json, consortia, fits, use
from tests.support.consent_notices import make_notice
from tests.support.documents import AGREEMENT as GOOD
from tests.support.documents import agreement

AGREEMENT = agreement()
VIEW = pb.AgreementView(
    reference=AGREEMENT.reference,
    state="proposed",
    signed_by=["bank-a"],
    missing=["bank-b", "bank-c"],
    document=AGREEMENT.canonical(),
)
CONSENT = pb.ConsentView(
    pseudonym="a" * 64,
    records=[
        pb.ConsentState(
            purpose="credit-risk-model",
            state="given",
            effective_at="2026-01-01T00:00:00.000Z",
            valid_until="2027-01-01T00:00:00.000Z",
            notice="notice-1",
        ),
        pb.ConsentState(purpose="fraud", state="withdrawn", effective_at="2026-01-01T00:00:00.000Z"),
    ],
    reached_jobs=["job-1", "job-2"],
)
MODEL = pb.ModelView(name="scorecard", digest="b" * 64, origin="imported", features=["income", "age"])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "node.toml").write_text('institution = "bank-a"\n')
    return tmp_path / "node.toml"


def test_an_agreement_is_proposed_in_its_canonical_form(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = use(monkeypatch, StubNode(ProposeAgreement=VIEW))
    file = tmp_path / "agreement.yaml"
    file.write_text(json.dumps(GOOD))
    shown = consortia("agreement", "propose", file, "--config", config)
    assert (shown.exit_code, node.asked[0].document) == (0, AGREEMENT.canonical())
    assert "agreement credit-risk@1 proposed and signed" in shown.stdout
    assert AGREEMENT.reference in shown.stdout
    told = as_json(consortia("agreement", "propose", file, "--config", config, "--json"))
    assert set(told) == {"reference", "state", "signed_by", "missing", "signers", "document"}
    assert told["missing"] == ["bank-b", "bank-c"]


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"\xff\xfe\x00", "UTF-8"), (b"a: [", "line 1"), (b"a: 1", "schema_version: this field is required")],
)
def test_a_file_that_is_no_agreement_is_refused_before_the_node_is_asked(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, why: str
) -> None:
    node = use(monkeypatch, StubNode())
    (tmp_path / "x.yaml").write_bytes(content)
    for command in (("agreement", "propose"), ("model", "add", "scorecard")):
        shown = consortia(*command, tmp_path / "x.yaml", "--config", config)
        assert shown.exit_code == 1
        assert shown.stdout == ""
        assert "Traceback" not in shown.stderr
        assert "What to do:" in shown.stderr
    assert why in consortia("agreement", "propose", tmp_path / "x.yaml", "--config", config).stderr
    assert node.asked == []


def test_agreements_are_listed_shown_and_signed(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = use(monkeypatch, StubNode(ListAgreements=pb.AgreementList(agreements=[VIEW]), SignAgreement=VIEW))
    listed = consortia("agreement", "list", "--config", config)
    assert fits(listed)
    assert all(word in listed.stdout for word in ("credit-risk@1", "proposed", "bank-a"))
    assert (
        as_json(consortia("agreement", "list", "--config", config, "--json"))[0]["document"]["id"] == "credit-risk"
    )
    shown = consortia("agreement", "show", "credit-risk@1", "--config", config)
    assert AGREEMENT.hash() in shown.stdout
    assert "purposes:\n- credit-risk-model" in shown.stdout
    assert (
        as_json(consortia("agreement", "show", "credit-risk", "--config", config, "--json"))["state"] == "proposed"
    )
    consortia("agreement", "sign", "credit-risk@1", "--config", config)
    assert node.asked[-1].reference == "credit-risk@1"


def test_an_agreement_that_is_not_there_is_said_so(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, StubNode(ListAgreements=pb.AgreementList(agreements=[VIEW, VIEW])))
    for reference, count in (("other", 0), ("credit", 0), ("credit-risk", 2)):
        shown = consortia("agreement", "show", reference, "--config", config)
        assert shown.exit_code == 1
        assert f"{count} agreements here have the reference '{reference}'" in shown.stderr


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (("give", "C-1", "--purpose", "p", "--notice", "n@3"), {"state": "given", "purpose": "p", "notice": "n@3"}),
        (
            ("give", "C-1", "--purpose", "p", "--notice", "n@3", "--until", "2027-01-01", "--evidence", "e" * 64),
            {"state": "given", "purpose": "p", "notice": "n@3", "valid_until": "2027-01-01", "evidence": "e" * 64},
        ),
        (("withdraw", "C-1", "--purpose", "p"), {"state": "withdrawn", "purpose": "p"}),
        (
            ("change", "C-1", "--purpose", "p", "--state", "invalidated", "--effective-at", "2026-01-01"),
            {"state": "invalidated", "purpose": "p", "effective_at": "2026-01-01"},
        ),
    ],
)
def test_consent_is_changed(
    config: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], asked: dict[str, str]
) -> None:
    node = use(monkeypatch, StubNode(SetConsent=CONSENT))
    shown = consortia("consent", *command, "--config", config)
    assert shown.exit_code == 0, shown.output
    assert node.asked[0] == pb.SetConsentRequest(subject="C-1", **asked)
    assert f"consent for p is now {asked['state']}" in shown.stdout
    assert fits(shown)
    assert as_json(consortia("consent", *command, "--config", config, "--json"))["reached_jobs"] == [
        "job-1",
        "job-2",
    ]


def test_consent_is_shown(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, StubNode(ShowConsent=CONSENT))
    shown = consortia("consent", "show", "C-1", "--config", config)
    assert fits(shown)
    assert all(word in shown.stdout for word in ("a" * 64, "given", "withdrawn", "job-1, job-2"))
    told = as_json(consortia("consent", "show", "C-1", "--config", config, "--json"))
    assert told["records"][1] == {
        "purpose": "fraud",
        "state": "withdrawn",
        "effective_at": "2026-01-01T00:00:00.000Z",
        "valid_until": None,
        "notice": "",
        "record": "",
        "recorded_at": "",
        "evidence": None,
    }


def test_a_consent_table_is_imported_by_its_full_path(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"given": 1200, "refused": 34}
    node = use(
        monkeypatch,
        StubNode(ImportConsent=pb.ImportConsentResponse(counts=counts, log_entry=7, rows=1234, changed=1000)),
    )
    file = tmp_path / "consents.csv"
    file.write_text("subject\n")
    monkeypatch.chdir(tmp_path)
    shown = consortia("consent", "import", "consents.csv", "--config", config)
    assert node.asked[0].path == str(file)
    assert "1,234 consent records imported" in shown.stdout
    told = as_json(consortia("consent", "import", file, "--config", config, "--json"))
    assert (told["counts"], told["changed"], told["log_entry"]) == (counts, 1000, 7)


def test_a_dry_run_tells_the_mistakes_and_fails(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transitions = {"given → withdrawn": 3, "unchanged": 1}
    answer = pb.ImportConsentResponse(
        transitions=transitions, rows=5, changed=3, mistaken_rows=1, mistakes=["row 2 has no subject"]
    )
    node = use(monkeypatch, StubNode(ImportConsent=answer))
    source = ("postgresql://bank@db/crm", "--table", "bank.consents")
    shown = consortia("consent", "import", *source, "--dry-run", "--config", config)
    assert shown.exit_code == 1
    assert all(word in shown.stdout for word in ("given → withdrawn", "row 2 has no subject"))
    assert (node.asked[0].address, node.asked[0].table, node.asked[0].dry_run) == (source[0], source[2], True)
    told = as_json(consortia("consent", "import", *source, "--dry-run", "--config", config, "--json"))
    assert (told["transitions"], told["mistakes"], told["log_entry"]) == (
        transitions,
        ["row 2 has no subject"],
        None,
    )
    for wrong in (source[:1], ("absent.csv",), (str(config), "--table", "t")):
        assert consortia("consent", "import", *wrong, "--config", config).exit_code == 2


def test_notices_are_registered_and_listed(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = make_notice(recipients=["bank-b"]).canonical()
    node = use(
        monkeypatch,
        StubNode(AddConsentNotice=pb.ConsentNotices(), ListConsentNotices=pb.ConsentNotices(documents=[document])),
    )
    file = tmp_path / "notice.yaml"
    file.write_text(document.decode())
    added = consortia("consent", "notice", file, "--config", config)
    assert "notice@1 is registered" in added.stdout
    assert node.asked[0].document == document
    listed = consortia("consent", "notices", "--config", config)
    assert all(word in listed.stdout for word in ("notice@1", "risk", "bank-b"))
    told = as_json(consortia("consent", "notices", "--config", config, "--json"))
    assert told["notices"][0]["id"] == "notice"


def test_models_are_added_and_listed(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = use(monkeypatch, StubNode(AddModel=MODEL, ListModels=pb.ModelList(models=[MODEL])))
    value: dict[str, Any] = {
        "type": "logistic_regression",
        "features": ["income"],
        "weights": [-0.31],
        "bias": "1e-1",
    }
    file = tmp_path / "model.json"
    file.write_text(json.dumps(value))
    added = consortia("model", "add", "scorecard", file, "--config", config)
    assert added.exit_code == 0, added.output
    kept = Model.from_canonical(node.asked[0].document, "what was sent")
    assert [str(weight) for weight in kept.fit.weights] == ["-0.31"]
    listed = consortia("model", "list", "--config", config)
    assert fits(listed)
    assert "scorecard" in listed.stdout
    told = as_json(consortia("model", "list", "--config", config, "--json"))
    (one,) = told
    assert (one.pop("withdrawn"), one.pop("told"), one.pop("acknowledged")) == (None, [], {})
    assert one == {"name": "scorecard", "digest": "b" * 64, "origin": "imported", "features": ["income", "age"]}


def test_of_a_model_that_was_withdrawn_it_is_listed_who_has_heard(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = pb.Acknowledgement(institution="bank-c", received_at="2026-01-01T00:00:00.000Z")
    by = pb.WithdrawnModel(
        institution="bank-a", reason="stale", recipients=["bank-b", "bank-c"], acknowledgements=[heard]
    )
    view = pb.ModelView(name="job-1", origin="job-1", withdrawn=by)
    use(monkeypatch, StubNode(WithdrawModel=view, ListModels=pb.ModelList(models=[view])))
    done = consortia("model", "withdraw", "job-1", "--reason", "stale", "--config", config)
    assert "bank-b, bank-c" in done.stdout
    listed = consortia("model", "list", "--config", config)
    assert fits(listed)
    shown = " ".join(listed.stdout.split())
    assert all(words in shown for words in ("not kept", "acknowledged", "not yet by"))
    (one,) = as_json(consortia("model", "list", "--config", config, "--json"))
    assert (one["told"], one["acknowledged"]) == (["bank-b", "bank-c"], {"bank-c": heard.received_at})


@pytest.mark.parametrize("command", [("consent", "show", "C-1"), ("agreement", "list"), ("model", "list")])
def test_a_node_that_does_not_run_is_said_so(config: Path, command: tuple[str, ...]) -> None:
    shown = consortia(*command, "--config", config)
    assert shown.exit_code == 1
    assert "is not running" in shown.stderr
    assert f"consortia node run --config {config}" in shown.stderr


def test_the_socket_is_where_the_environment_puts_the_folder(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "control.sock").write_text("")  # a socket of a node that died
    assert "is not running" in consortia("model", "list", "--config", config).stderr
    monkeypatch.setenv("CONSORTIA_NODE__FOLDER", "elsewhere")
    shown = consortia("model", "list", "--config", config)
    assert shown.exit_code == 1
    assert "the call to the node failed" in shown.stderr
