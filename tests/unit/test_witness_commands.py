"""What operators say on the command line when witnesses have found something."""

from pathlib import Path

from consortia_crypto import canonical
from tests.support.cli import consortia
from tests.support.witnesses import lab

ORIGIN = "consortia.lab/bank-a/audit/2027"


def test_acknowledging_and_forgetting_leave_words_for_the_process_to_log(tmp_path: Path) -> None:
    with lab(tmp_path) as three:
        folder = three["bank-b"].folder
        evidence = folder / "log" / "evidence"
        evidence.mkdir()
        (evidence / "ab12.found").write_bytes(canonical.encode({"origin": ORIGIN, "cause": "two logs"}))
        done = consortia("audit", "acknowledge", folder, "--evidence", "ab12", "--reason", "a restored backup")
        assert done.exit_code == 0, done.output
        three["bank-b"].alarms.check()
        assert three["bank-b"].events("witness.acknowledged")[0]["reason"] == "a restored backup"
        done = consortia("audit", "forget", folder, "--origin", ORIGIN, "--reason", "its disk burnt")
        assert done.exit_code == 0, done.output
        assert len(list(evidence.glob("*.forget"))) == 1


def test_what_was_never_found_cannot_be_acknowledged(tmp_path: Path) -> None:
    with lab(tmp_path) as three:
        folder = three["bank-b"].folder
        for number in ("ab12", "../../head", ""):
            done = consortia("audit", "acknowledge", folder, "--evidence", number, "--reason", "x")
            assert done.exit_code != 0
