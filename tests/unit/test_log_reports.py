"""Reports for authorities: what the log says is in them, in both languages, and nothing else."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from consortia_client.log_pages import incident_page, processing_page
from consortia_client.pages import as_html, as_text
from consortia_common.audit_log import AuditLog
from consortia_common.audit_verify import attached, find_log
from consortia_common.log_reports import SAMPLES, Incident, Processing
from consortia_crypto.audit.entry import Entry
from tests.support.decisions import AGREEMENT, NOW, OWNER, activate, decide, open_log, submission

LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
JOB = submission().job_id
ACCESS: dict[str, Any] = {"job": JOB, "agreement": AGREEMENT.reference, "purpose": "risk", "dataset": "clients"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with open_log(tmp_path) as log:
        activate(log)
        decide(log, submission())
        log.append("access.granted", columns=["age", "region"], **ACCESS)
        for _ in range(2):  # a cohort that was formed again after a restart
            log.append("access.cohort", rows_used=40, rows_left_out=2, consent_ref="c" * 64, **ACCESS)
        for number in range(SAMPLES + 2):
            log.append("job.failed", job=JOB, reason=f"Reason {number}.")
        log.append("message.refused", reason="<script>alert(1)</script>", peer="coordinator")
    return tmp_path


def entries(folder: Path) -> list[Entry]:
    with AuditLog.open(folder, OWNER, "bank-a", lambda: NOW) as log:
        return [Entry.parse(raw) for raw in log.read()]


def processing(folder: Path) -> dict[str, Any]:
    made = Processing("bank-a", lambda name: attached(find_log(folder), name))
    for entry in entries(folder):
        made.see(entry)
    return made.document()


def incident(folder: Path, since: datetime = LONG_AGO, until: datetime = LATER) -> dict[str, Any]:
    made = Incident("bank-a", since, until)
    for entry in entries(folder):
        made.see(entry)
    return made.document()


def test_the_record_of_processing_has_what_was_read(folder: Path) -> None:
    (activity,) = processing(folder)["activities"]
    assert activity["state"] == "active"
    assert activity["recipients"] == ["bank-b", "bank-c"]
    assert activity["data"] == {"clients": ["age", "region"]}
    assert (activity["rows_used"], activity["jobs"], activity["lawful_basis"]) == (40, [JOB], ["consent"])


def test_an_agreement_that_nothing_was_read_under_is_listed_and_one_that_is_lost_is_not_guessed(
    tmp_path: Path,
) -> None:
    with open_log(tmp_path) as log:
        activate(log)
        log.append("agreement.suspended", agreement=AGREEMENT.reference)
        log.append("access.granted", columns=["age"], **ACCESS | {"agreement": "lost@1#" + "0" * 64})
    first, lost = processing(tmp_path)["activities"]
    assert (first["state"], first["jobs"], first["purpose"]) == ("suspended", [], "")
    assert (lost["title"], lost["parties"], lost["retention_days"]) == ("", [], None)
    text = as_text(processing_page(processing(tmp_path), "verified", "en"))
    assert "Nothing was read." in text
    assert "not on the log" in text


def test_an_incident_draft_has_what_went_wrong_in_the_time(folder: Path) -> None:
    failed, refused = incident(folder)["events"]
    assert (failed["type"], failed["count"], len(failed["samples"])) == ("job.failed", SAMPLES + 2, SAMPLES)
    assert failed["samples"][-1]["reason"] == f"Reason {SAMPLES + 1}."
    assert (refused["type"], refused["samples"][0]["peer"]) == ("message.refused", "coordinator")
    earlier = incident(folder, until=datetime(2021, 1, 1, tzinfo=UTC))
    assert (earlier["events"], earlier["in_use"]["jobs"]) == ([], [])


@pytest.mark.parametrize(("language", "said"), [("en", "verified"), ("zh", "核验通过")])
def test_pages_say_it_in_both_languages(folder: Path, language: str, said: str) -> None:
    for page in (
        processing_page(processing(folder), "verified", language),
        incident_page(incident(folder), "verified", 12, language),
    ):
        assert said in as_text(page)
        html = as_html(page)
        assert "<script>" not in html
        assert f'lang="{"zh-CN" if language == "zh" else "en"}"' in html
