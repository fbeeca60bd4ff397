"""`consortia subject` and its neighbours, against nodes that run: seen, erased, gone, still provable."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from consortia_client.cli import audit, consent, subject
from consortia_common.audit_verify import verify_folder
from consortia_common.errors import CommonError
from tests.support.consortium import Consortium
from tests.support.specs import PURPOSE, spec

VICTIM = "BANK-C-00017"
OTHERS = ("BANK-C-00019", "BANK-C-00021")


def run(command, *arguments: str | Path) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout  # what this process logs meanwhile goes to stderr


def test_a_customer_is_erased_after_a_job_used_them(consortium: Consortium) -> None:
    config, log = consortium.node_config("bank-c"), consortium.log("bank-c")
    job = consortium.run(spec("statistics"))
    run(consent.consent, "withdraw", VICTIM, "--purpose", PURPOSE, "--config", config)
    shown = json.loads(run(subject.subject, "show", VICTIM, "--config", config, "--json"))
    assert job.job_id in shown["jobs"]
    assert [json.loads(one["content"])["record"]["state"] for one in shown["openings"]] == ["withdrawn"]
    assert shown["pseudonym"] in run(subject.subject, "show", VICTIM, "--config", config)

    unsure = CliRunner().invoke(subject.subject, ["erase", VICTIM, "--config", str(config)])
    assert (unsure.exit_code, "Aborted" in unsure.stderr) == (1, True)
    erased = json.loads(run(subject.subject, "erase", VICTIM, "--config", config, "--yes", "--json"))["erased"]
    assert [one["pseudonym"] for one in erased] == [shown["pseudonym"]]
    assert job.job_id in erased[0]["jobs"]

    gone = CliRunner().invoke(consent.consent, ["show", VICTIM, "--config", str(config)])
    assert isinstance(gone.exception, CommonError)
    assert "no consent of this customer" in gone.exception.what
    said = f"erased by entry {erased[0]['log_entry']}"
    moments = json.loads(run(audit.audit, "timeline", shown["pseudonym"], log, "--json"))["moments"]
    by_event = {moment["event"]: moment for moment in moments}
    assert by_event["consent.changed"]["bearing"] == said
    assert by_event["erasure.done"]["bearing"] == ""
    assert verify_folder(log).summary == "verified"

    consent_again(config, VICTIM)
    assert consortium.run(spec("statistics")).state == "finished"
    assert verify_folder(log).summary == "verified"


def test_several_are_erased_at_once_and_text_tells_what_was_reached(consortium: Consortium) -> None:
    config = consortium.node_config("bank-c")
    job = consortium.run(spec("statistics"))
    told = run(subject.subject, "erase", *OTHERS, "--config", config, "--yes")
    assert told.count("erased by entry") == 2
    assert job.job_id in told
    for number in OTHERS:
        new = consent_again(config, number)
        assert new["reached_jobs"] == []
        assert new["pseudonym"] not in told


def consent_again(config: Path, number: str) -> dict[str, Any]:
    """As somebody new; other tests count on this customer."""
    given = ("--purpose", PURPOSE, "--notice", "notice@1", "--config", config, "--json")
    answer: dict[str, Any] = json.loads(run(consent.consent, "give", number, *given))
    return answer
