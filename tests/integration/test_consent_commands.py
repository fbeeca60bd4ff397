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
from tests.support.consortium import PURPOSE, Consortium, spec

CUSTOMER = "BANK-B-00017"
REFUSED = "BANK-B-00013"


def run(command, *arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


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
    config = consortium.node_config("bank-b")
    job = consortium.run(spec("statistics"))
    assert job.state == "finished"

    proofs = asked(consent.consent, "prove", CUSTOMER, job.job_id, "--out", tmp_path, "--config", config)["proofs"]
    policy = policy_of(consortium, "bank-b", tmp_path)
    (checked,) = asked(audit.audit, "verify", proofs[0], "--policy", policy)["proofs"]
    assert (checked["cause"], checked["access"]["job"]) == ("", job.job_id)
    assert checked["record"]["state"] == "given"
    assert CUSTOMER not in Path(proofs[0]).read_text()
    result = CliRunner().invoke(
        consent.consent, ["prove", REFUSED, job.job_id, "--out", str(tmp_path), "--config", str(config)]
    )
    assert isinstance(result.exception, CommonError)

    withdrawn = asked(consent.consent, "withdraw", CUSTOMER, "--purpose", PURPOSE, "--config", config)
    assert job.job_id in withdrawn["reached_jobs"]
    assert withdrawn["recipients"] == ["bank-a", "bank-c"]
    for _ in range(200):
        shown = asked(consent.consent, "show", CUSTOMER, "--config", config)
        if len(shown["acknowledgements"]) == 2:
            break
    assert sorted(one["institution"] for one in shown["acknowledgements"]) == ["bank-a", "bank-c"]
    assert [
        entry.body["detail"]["institution"] for entry in entries(consortium, "bank-a", "withdrawal.received")
    ] == ["bank-b"]
    assert len(entries(consortium, "bank-b", "withdrawal.acknowledged")) == 2
    for bank in ("bank-a", "bank-c", "coordinator"):
        assert shown["pseudonym"].encode() not in b"".join(records(find_log(consortium.log(bank))))

    again = consortium.run(spec("statistics"))
    assert again.state == "finished"
    result = CliRunner().invoke(
        consent.consent, ["prove", CUSTOMER, again.job_id, "--out", str(tmp_path), "--config", str(config)]
    )
    assert isinstance(result.exception, CommonError)
    (checked,) = asked(audit.audit, "verify", proofs[0], "--policy", policy)["proofs"]
    assert checked["cause"] == ""

    told = asked(consent.consent, "history", CUSTOMER, "--proofs", tmp_path / "history", "--config", config)
    assert [one["state"] for one in told["transitions"]] == ["given", "withdrawn"]
    assert [one["event"] for one in told["transitions"]] == ["consent.imported", "consent.changed"]
    (proof,) = (tmp_path / "history").iterdir()
    assert asked(audit.audit, "verify", proof, "--policy", policy)["proofs"][0]["cause"] == ""

    report = asked(subject.subject, "report", CUSTOMER, "--config", config)
    assert report["uses"][-1]["job"] == job.job_id  # of all, other tests' included; `again` used them no more
    assert report["uses"][-1]["with"] == ["bank-a", "bank-b", "bank-c"]
    for language, word in (("en", "How your data were used"), ("zh", "个人信息使用情况报告")):
        assert word in run(subject.subject, "report", CUSTOMER, "--lang", language, "--config", config)
        page = tmp_path / f"{language}.html"
        run(subject.subject, "report", CUSTOMER, "--lang", language, "--html", page, "--config", config)
        assert word in page.read_text()
        assert CUSTOMER not in page.read_text()
    # other tests count on this customer
    run(consent.consent, "give", CUSTOMER, "--purpose", PURPOSE, "--notice", "notice@1", "--config", config)
    assert all(verify_folder(consortium.log(bank)).summary == "verified" for bank in ("bank-a", "bank-b", "bank-c"))
