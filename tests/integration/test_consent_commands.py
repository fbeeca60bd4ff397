"""`consortia consent` against nodes that run: notices, imports, proofs, a withdrawal and what comes back for it."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from consortia_client.cli import audit, consent, subject
from consortia_common.audit_segments import records
from consortia_common.audit_verify import find_log, verify_folder
from consortia_common.errors import CommonError
from consortia_crypto.audit.entry import Entry
from tests.support.consortium import Consortium
from tests.support.specs import PURPOSE, spec

CUSTOMER = "BANK-B-00017"
REFUSED = "BANK-B-00013"


def run(command, *arguments: str | Path) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout  # what this process logs meanwhile goes to stderr


def asked(command, *arguments: str | Path) -> Any:
    return json.loads(run(command, *arguments, "--json"))


def entries(consortium: Consortium, bank: str, event: str) -> list[Entry]:
    return [entry for entry in map(Entry.parse, records(find_log(consortium.log(bank)))) if entry.type == event]


def policy_of(consortium: Consortium, bank: str, folder: Path) -> Path:
    keys = json.loads((consortium.log(bank) / "vkeys.json").read_text())
    policy = folder / "policy"
    policy.write_text(f"log {keys[-1]['ed25519']}\nquorum none\n")
    return policy


def test_a_use_is_proved_and_a_withdrawal_reaches_everybody(consortium: Consortium, tmp_path: Path) -> None:
    config, policy = consortium.node_config("bank-b"), policy_of(consortium, "bank-b", tmp_path)
    job = consortium.run(spec("statistics")).job_id
    proof = proof_of_use(job, config, policy, tmp_path)
    require_no_proof(REFUSED, job, config, tmp_path)

    withdraw(job, config)
    require_told(consortium, told(config))
    again = consortium.run(spec("statistics"))
    assert again.state == "finished"
    require_no_proof(CUSTOMER, again.job_id, config, tmp_path)
    assert proved(proof, policy)["cause"] == ""

    require_history(config, policy, tmp_path / "history")
    require_report(job, config, tmp_path)
    # other tests count on this customer
    run(consent.consent, "give", CUSTOMER, "--purpose", PURPOSE, "--notice", "notice@1", "--config", config)
    assert all(verify_folder(consortium.log(bank)).summary == "verified" for bank in ("bank-a", "bank-b", "bank-c"))


def proved(proof: Path, policy: Path) -> Any:
    (checked,) = asked(audit.audit, "verify", proof, "--policy", policy)["proofs"]
    return checked


def proof_of_use(job: str, config: Path, policy: Path, folder: Path) -> Path:
    """What proves to anybody that the customer's consent stood when the job used their row."""
    made = asked(consent.consent, "prove", CUSTOMER, job, "--out", folder, "--config", config)["proofs"]
    checked = proved(made[0], policy)
    assert (checked["cause"], checked["access"]["job"]) == ("", job)
    assert checked["record"]["state"] == "given"
    assert CUSTOMER not in Path(made[0]).read_text()
    return Path(made[0])


def require_no_proof(customer: str, job: str, config: Path, folder: Path) -> None:
    asked_for = ["prove", customer, job, "--out", str(folder), "--config", str(config)]
    result = CliRunner().invoke(consent.consent, asked_for)
    assert isinstance(result.exception, CommonError)


def withdraw(job: str, config: Path) -> None:
    """The answer names the job that had used the customer, and whom the use was shared with."""
    withdrawn = asked(consent.consent, "withdraw", CUSTOMER, "--purpose", PURPOSE, "--config", config)
    assert job in withdrawn["reached_jobs"]
    assert withdrawn["recipients"] == ["bank-a", "bank-c"]


def told(config: Path) -> Any:
    """What is on record of the customer once both recipients have acknowledged the withdrawal."""
    for _ in range(200):
        shown = asked(consent.consent, "show", CUSTOMER, "--config", config)
        if len(shown["acknowledgements"]) == 2:
            break
    return shown


def require_told(consortium: Consortium, shown: Any) -> None:
    """The recipients acknowledged, and neither they nor the coordinator learned who it is."""
    assert sorted(one["institution"] for one in shown["acknowledgements"]) == ["bank-a", "bank-c"]
    received = entries(consortium, "bank-a", "withdrawal.received")
    assert [entry.body["detail"]["institution"] for entry in received] == ["bank-b"]
    stated = entries(consortium, "bank-b", "withdrawal.reached")[-1].body["detail"]["statement"]
    noted = [
        entry.body["detail"]["statement"] for entry in entries(consortium, "bank-b", "withdrawal.acknowledged")
    ]
    assert noted.count(stated) == 2
    for bank in ("bank-a", "bank-c", "coordinator"):
        assert shown["pseudonym"].encode() not in b"".join(records(find_log(consortium.log(bank))))


def require_history(config: Path, policy: Path, folder: Path) -> None:
    history = asked(consent.consent, "history", CUSTOMER, "--proofs", folder, "--config", config)
    assert [one["state"] for one in history["transitions"]] == ["given", "withdrawn"]
    assert [one["event"] for one in history["transitions"]] == ["consent.imported", "consent.changed"]
    (proof,) = folder.iterdir()
    assert proved(proof, policy)["cause"] == ""


def require_report(job: str, config: Path, folder: Path) -> None:
    """Of all uses, other tests' included, the job's is the last: the one after the withdrawal used them no more."""
    report = asked(subject.subject, "report", CUSTOMER, "--config", config)
    assert report["uses"][-1]["job"] == job
    assert report["uses"][-1]["with"] == ["bank-a", "bank-b", "bank-c"]
    for language, word in (("en", "How your data were used"), ("zh", "个人信息使用情况报告")):
        options = ("report", CUSTOMER, "--lang", language, "--config", config)
        page = folder / f"{language}.html"
        assert word in run(subject.subject, *options)
        run(subject.subject, *options, "--html", page)
        assert word in page.read_text()
        assert CUSTOMER not in page.read_text()
