"""The catalogue: what it allows, what it refuses, and that the documentation lists all of it."""

from pathlib import Path

import pytest

from consortia_client.cli.audit import catalogue
from consortia_crypto.audit import events
from consortia_crypto.errors import AuditError

BASE = {"ts": "2026-01-31T12:00:00.000Z", "org": "bank-a", "retention_class": "handling"}
ACCESS = BASE | {
    "type": "access.cohort", "job": "job-1", "purpose": "credit-risk", "agreement": "credit@1#" + "0" * 64,
    "dataset": "clients", "rows_used": 0, "rows_left_out": 3, "consent_ref": "1" * 64,
}  # fmt: skip


def test_a_complete_event_is_allowed():
    assert events.check(ACCESS).name == "access.cohort"


@pytest.mark.parametrize("field", ["ts", "org", "retention_class", "job", "rows_used", "consent_ref", "agreement"])
def test_a_required_field_must_be_there(field):
    with pytest.raises(AuditError, match=field):
        events.check({name: value for name, value in ACCESS.items() if name != field})


@pytest.mark.parametrize(
    "change",
    [
        {"rows_used": -1}, {"rows_used": True}, {"rows_used": "3"}, {"columns": "LIMIT_BAL"}, {"columns": ["a b"]},
        {"columns": [1]}, {"subject": "customer 12345"}, {"ts": "2026-01-31 12:00"}, {"agreement": "credit"},
        {"reason": "two\nlines"}, {"reason": ""}, {"consent_ref": "0" * 63}, {"detail": []}, {"detail": {"x": 1}},
        {"surprise": "x"}, {"org": ""}, {"dataset": "ü"}, {"decision": None},
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_shape_is_refused(change):
    with pytest.raises(AuditError):
        events.check(ACCESS | change)


@pytest.mark.parametrize("name", ["access.granted ", "", None, ["access.cohort"], "made.up"])
def test_what_is_not_in_the_catalogue_is_refused(name):
    with pytest.raises(AuditError, match="catalogue"):
        events.check(BASE | {"type": name})


def test_details_are_typed():
    body = BASE | {"type": "peer.disconnected", "detail": {"peer": "bank-a", "orderly": True}}
    events.check(body)
    for wrong in ({"orderly": 1}, {"peer": 5}, {"peer": "a\tb"}):
        with pytest.raises(AuditError):
            events.check(body | {"detail": body["detail"] | wrong})


def test_every_event_is_described_and_kept_for_a_known_time():
    for name, event in events.EVENTS.items():
        assert name == event.name
        assert event.summary.endswith(".")
        assert event.retention in events.RETENTION
        assert event.required <= events.COMMON.keys() | event.detail.keys()
        assert not event.detail.keys() & events.COMMON.keys()


def test_the_documentation_has_the_catalogue_as_it_is_printed():
    page = Path(__file__).parents[2] / "docs" / "audit-log.md"
    assert catalogue() in page.read_text(encoding="utf-8")
