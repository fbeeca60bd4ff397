"""Coverage: an access counts as covered only if agreement, gate, columns, period and consents all allow it."""

from datetime import UTC, datetime, timedelta

import pytest

from consortia_common.audit_log import AuditLog
from consortia_common.audit_verify import verify_folder
from consortia_common.documents.agreement import Agreement
from consortia_crypto.keys import PrivateIdentity

OWNER = PrivateIdentity.generate("demo", "bank-a", "node", "n1")
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AGREEMENT = Agreement.from_value(
    {
        "schema_version": 1, "id": "credit", "version": 1, "title": "Joint model",
        "purposes": ["credit-risk", "research"],
        "parties": [{"institution": f"bank-{x}", "key": x * 64} for x in "abc"],
        "analysts": [{"institution": "bank-a", "name": "ann", "key": "d" * 64}],
        "datasets": [
            {"name": "clients", "owners": ["bank-a", "bank-b"], "columns": ["AGE", "LIMIT_BAL"]},
            {"name": "cards", "owners": ["bank-b"], "columns": ["AGE"]},
        ],
        "job_kinds": [{"kind": "statistics", "recipients": ["analyst"]}],
        "min_rows": 2, "max_jobs": 10, "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2027-01-01T00:00:00Z",
    },
    "the test's agreement",
)  # fmt: skip
BY_LAW = Agreement.from_value(
    AGREEMENT.model_dump(mode="json") | {"lawful_basis": "legal_obligation"}, "the test's agreement"
)
ROOT = "9" * 64


class Story:
    """A log in the making; each method writes one event, with what is usual unless told otherwise."""

    def __init__(self, path, now=NOW, agreement=AGREEMENT):
        self.path = path
        self.now = now
        self.log = AuditLog.open(path, OWNER, "bank-a", lambda: self.now)
        self.usual = {"job": "job-1", "purpose": "credit-risk", "agreement": agreement.reference}
        self.document = agreement.canonical()

    def activate(self):
        self.log.attach(self.document)
        self.log.append("agreement.activated", agreement=self.usual["agreement"])
        return self

    def consents(self, **counts):
        self.log.append("consent.imported", purpose="credit-risk", root=ROOT, **counts)
        return self

    def change(self, decision, purpose="credit-risk"):
        self.log.append(
            "consent.changed", subject="5" * 64, purpose=purpose, decision=decision, payload_commit="6" * 64
        )
        return self

    def erase(self, *purposes):
        counts = {"jobs": 0, "models": 0, "payloads": 0}
        self.log.append("erasure.done", subject="5" * 64, payload_commit="6" * 64, purposes=purposes, **counts)
        return self

    def write(self, event, **fields):
        self.log.append(event, **fields)
        return self

    def decide(self, decision="accept", kind="statistics", **other):
        return self.write("job.decided", decision=decision, kind=kind, **self.usual | other)

    def grant(self, columns=("AGE", "LIMIT_BAL"), **other):
        return self.write("access.granted", columns=columns, **self.usual | {"dataset": "clients"} | other)

    def cohort(self, rows=7, left_out=1, **other):
        usual = self.usual | {"dataset": "clients"} | other
        return self.write("access.cohort", rows_used=rows, rows_left_out=left_out, consent_ref=ROOT, **usual)

    def report(self):
        self.log.close()
        return verify_folder(self.path)


@pytest.fixture
def story(tmp_path):
    return Story(tmp_path / "log")


def ready(story, **counts):
    return story.activate().consents(**(counts or {"given": 6, "renewed": 1, "withdrawn": 3})).decide()


def assert_uncovered(report, cause, count=1):
    assert report.verdict == "uncovered"
    assert cause in report.cause
    assert report.accesses_uncovered == count


def test_an_allowed_job_is_covered_and_counted(story):
    report = ready(story).grant().cohort().report()
    assert report.summary == "verified"
    assert (report.accesses_covered, report.accesses_uncovered) == (2, 0)
    assert (report.rows_used, report.rows_left_out) == (7, 1)


def test_the_entry_of_an_uncovered_access_is_named(story):
    report = story.grant().report()
    assert_uncovered(report, "was not active")
    assert (report.entry, report.findings[0].time) == (1, "2026-06-01T12:00:00.000Z")


def test_an_agreement_activated_afterwards_covers_nothing(story):
    assert_uncovered(story.consents(given=9).decide().grant().activate().report(), "was not active")


@pytest.mark.parametrize("end", ["suspended", "superseded", "terminated"])
def test_an_agreement_that_ended_covers_nothing(story, end):
    ready(story).write(f"agreement.{end}", agreement=AGREEMENT.reference)
    assert_uncovered(story.grant().report(), "was not active")


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"columns": ("AGE", "EDUCATION")}, "datasets.columns: the agreement does not name EDUCATION"),
        ({"dataset": "secrets"}, "datasets: the agreement does not name secrets"),
        ({"dataset": "cards", "columns": ("AGE",)}, "datasets: the agreement does not name cards of bank-a"),
        ({"purpose": "research"}, "for another purpose"),
        ({"agreement": "credit@1#" + "0" * 64}, "was not active"),
        ({"agreement": "credit@1"}, "was not active"),
        ({"job": "job-2"}, "had not accepted the job"),
    ],
)
def test_what_the_agreement_does_not_name_is_uncovered(story, fields, cause):
    assert_uncovered(ready(story).grant(**fields).report(), cause)


def test_a_purpose_outside_the_agreement_is_uncovered(story):
    story.usual["purpose"] = "marketing"
    assert_uncovered(ready(story).grant().report(), "purposes: the agreement does not name marketing")


def test_a_kind_outside_the_agreement_is_uncovered(story):
    assert_uncovered(ready(story).decide(kind="train").grant().report(), "job_kinds")


def test_a_refused_job_may_not_read(story):
    assert_uncovered(ready(story).decide("refuse").grant().report(), "had not accepted")


@pytest.mark.parametrize("days", [-200, 300])
def test_outside_its_period_an_agreement_covers_nothing(tmp_path, days):
    story = Story(tmp_path / "log", NOW + timedelta(days=days))
    assert_uncovered(ready(story).grant().report(), "valid_")


def test_rows_need_a_grant_first(story):
    assert_uncovered(ready(story).cohort().report(), "no allowed access")


def test_rows_after_an_uncovered_grant_are_uncovered_too(story):
    assert_uncovered(ready(story).grant(columns=("NAME",)).cohort().report(), "NAME", count=2)


def test_more_rows_than_consents_are_uncovered(story):
    assert_uncovered(ready(story).grant().cohort(rows=8).report(), "8 rows were used, but only 7 consents")


def test_an_erasure_takes_the_rows_of_its_purposes_away(story):
    ready(story, given=7).grant().cohort(rows=7).erase("credit-risk", "research").cohort(rows=6).erase()
    assert story.cohort(rows=6).report().summary == "verified"


def test_a_row_used_after_its_erasure_is_uncovered(story):
    report = ready(story, given=7).grant().erase("credit-risk").cohort(rows=7).report()
    assert_uncovered(report, "only 6 consents")


def test_a_withdrawal_takes_a_row_away_and_a_new_consent_gives_it_back(story):
    ready(story).grant().cohort(rows=7).change("withdrawn").cohort(rows=6)
    report = story.change("given").change("renewed").change("refused").cohort(rows=7).report()
    assert (report.verdict, report.accesses_covered) == ("verified", 4)


@pytest.mark.parametrize("state", ["withdrawn", "expired", "terminated", "invalidated"])
def test_a_closed_consent_counts_no_more(story, state):
    report = ready(story).grant().change(state).cohort(rows=7).report()
    assert_uncovered(report, "only 6 consents")


def test_consent_for_another_purpose_does_not_count(story):
    ready(story, given=6).grant().change("given", purpose="research")
    assert_uncovered(story.cohort(rows=7).report(), "only 6 consents")


def test_an_import_takes_the_place_of_the_count_before(story):
    assert_uncovered(ready(story).consents(given=3).grant().cohort(rows=4).report(), "only 3 consents")


def test_another_lawful_basis_needs_no_consents(tmp_path):
    report = Story(tmp_path / "log", agreement=BY_LAW).activate().decide().grant().cohort().report()
    assert (report.verdict, report.accesses_covered) == ("verified", 2)


def test_an_agreement_whose_document_is_not_here_can_not_be_judged(story):
    ready(story).grant().cohort()
    (path,) = (story.path / "documents").iterdir()
    path.unlink()
    report = story.report()
    assert (report.verdict, report.entry, report.accesses_covered) == ("unverifiable", 1, 0)
    assert "not attached" in report.cause


def test_a_changed_document_is_tampering_at_the_entry_that_cites_it(story):
    ready(story).grant().cohort()
    (path,) = (story.path / "documents").iterdir()
    for content in (path.read_bytes().replace(b"AGE", b"SEX"), b"", b"x" * (2 << 20)):
        path.write_bytes(content)
        report = story.report()
        assert (report.verdict, report.entry) == ("tampered", 1)


def test_a_changed_attachment_of_any_entry_is_tampering(story):
    name = story.log.attach(b"a receipt")
    story.write("job.receipt", job="job-1", payload_commit=name)
    assert story.report().verdict == "verified"
    (story.path / "documents" / f"{name}.json").write_bytes(b"another receipt")
    assert verify_folder(story.path).summary.startswith("tampered at entry 1")


def test_a_document_that_is_no_agreement_can_not_be_judged(story):
    story.document = b'{"not":"an agreement"}'
    story.usual["agreement"] = "credit@1#" + story.log.attach(story.document)
    report = ready(story).grant().report()
    assert (report.verdict, report.entry) == ("unverifiable", 1)


def test_an_agreement_under_another_name_covers_nothing(story):
    story.usual["agreement"] = "loans@1#" + AGREEMENT.hash()
    report = ready(story).grant().report()
    assert (report.verdict, report.entry) == ("uncovered", 1)
    assert report.accesses_covered == 0


def test_tampering_outweighs_an_uncovered_access(story):
    report = story.grant().grant().report()
    assert report.verdict == "uncovered"
    segment = story.path / "segments" / "000000000000.log"
    segment.write_bytes(segment.read_bytes()[:-1])
    assert verify_folder(story.path).verdict == "tampered"


def test_many_findings_are_counted_and_not_all_kept(story):
    for _ in range(120):
        story.grant()
    report = story.report()
    assert (report.accesses_uncovered, len(report.findings)) == (120, 100)
