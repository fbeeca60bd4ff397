"""What one customer is told about the use of their data (GDPR 15, PIPL 45), out of this institution's log.

Each use that relied on consent is one whose root on the log opens to this customer's record; on another basis, one
whose cohort the customer was in. Times, purposes, columns, agreements and recipients are those of the log's entries
and the documents attached to them. Names the customer by pseudonym only.
"""

from collections.abc import Iterator
from typing import Any

from consortia_common.audit_segments import LogFolder, records
from consortia_common.audit_verify import attached, find_log
from consortia_common.database import reading
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.base import utc
from consortia_common.documents.jobspec import Submission
from consortia_crypto.audit.entry import Entry
from consortia_node.consent import moment
from consortia_node.consent_proofs import open_version
from consortia_node.store.cohorts import CohortStore
from consortia_node.store.models import ModelStore
from consortia_node.store.statements import StatementStore
from consortia_node.store.subject_record import Held
from consortia_node.store.subjects import Subject
from consortia_node.tools import Tools

_CONSENT = "consent"


def of(tools: Tools, number: str) -> dict[str, Any]:
    """The report as plain values. Raises StoreError for a customer who is not known."""
    subject = tools.consents.find(number)
    with reading(tools.engine) as connection:
        reached = CohortStore(connection).reached_by(subject.id)
        models = ModelStore(connection).made_by(reached)
        answers = StatementStore(connection).answers_about(reached)
    uses = list(_uses(tools, subject, frozenset(reached)))
    notices = {notice.reference: notice for notice in tools.consents.notices()}
    cited = {record.notice for record in subject.records}
    return {
        "v": 1,
        "institution": tools.institution,
        "made_at": utc(tools.clock()),
        "pseudonym": subject.pseudonym,
        "consents": [_consent(held) for versions in subject.consents.values() for held in versions],
        "notices": [notices[name].model_dump(mode="json") for name in sorted(cited & notices.keys())],
        "uses": uses,
        "models": models,
        "acknowledgements": [
            {"institution": item.institution, "received_at": moment(item.received_ms)} for item in answers
        ],
        "log_entries": tools.log.size,
    }


def _uses(tools: Tools, subject: Subject, reached: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The accesses that used a row of the customer's, oldest first; the same cohort formed again counts once."""
    log = find_log(tools.settings.audit_folder)
    jobs: dict[str, Submission] = {}
    seen: set[tuple[str, str, str]] = set()
    for shard in log.shards():
        for entry in map(Entry.parse, records(shard)):
            if entry.type == "job.submitted":
                _keep_submission(shard, entry, jobs)
            elif entry.type == "access.cohort" and entry.body["job"] in reached:
                relied = _relied_on(tools, subject, entry)
                basis = entry.body.get("detail", {}).get("lawful_basis", _CONSENT)
                key = (entry.body["job"], entry.body["dataset"], entry.body["consent_ref"])
                if (relied or basis != _CONSENT) and key not in seen:
                    seen.add(key)
                    yield _use(shard, entry, jobs.get(entry.body["job"]), relied, basis)


def _use(
    shard: LogFolder, entry: Entry, submission: Submission | None, relied: Held | None, basis: str
) -> dict[str, Any]:
    body = entry.body
    agreement = _agreement(shard, body["agreement"])
    institutions = sorted(_recipients(submission, agreement)) if submission else []
    return {
        "at": entry.time,
        "job": body["job"],
        "kind": submission.spec.kind if submission else "",
        "purpose": body["purpose"],
        "dataset": body["dataset"],
        "columns": list(body.get("columns", [])),
        "with": institutions,
        "agreement": body["agreement"].partition("#")[0],
        "agreement_title": agreement.title if agreement else "",
        "lawful_basis": basis,
        "notice": relied.record.notice if relied else "",
        "consent_state": relied.record.state if relied else "",
        "consent_since": moment(relied.record.effective_ms) if relied else "",
        "rows_used": body["rows_used"],
        "entry": entry.index,
    }


def _relied_on(tools: Tools, subject: Subject, entry: Entry) -> Held | None:
    versions = (held for versions in subject.consents.values() for held in versions)
    root = entry.body["consent_ref"]
    return next((held for held in versions if open_version(tools.settings.folder, subject, held, root)), None)


def _keep_submission(shard: LogFolder, entry: Entry, jobs: dict[str, Submission]) -> None:
    data = attached(shard, entry.body.get("payload_commit", ""))
    if data is not None:
        jobs[entry.body["job"]] = Submission.from_canonical(data, "a submission beside the log")


def _agreement(shard: LogFolder, reference: str) -> Agreement | None:
    data = attached(shard, reference.partition("#")[2])
    return Agreement.from_canonical(data, "an agreement beside the log") if data else None


def _recipients(submission: Submission, agreement: Agreement | None) -> set[str]:
    analysts = agreement.analysts if agreement else ()
    return {*submission.spec.parties, *(one.institution for one in analysts if one.key == submission.analyst)}


def _consent(held: Held) -> dict[str, Any]:
    record = held.record
    return {
        "purpose": record.purpose,
        "notice": record.notice,
        "record": record.id,
        "state": record.state,
        "effective_at": moment(record.effective_ms),
        "valid_until": None if record.valid_until_ms is None else moment(record.valid_until_ms),
        "recorded_at": moment(record.recorded_ms),
        "evidence": record.evidence or None,
    }
