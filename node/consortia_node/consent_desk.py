"""What an institution's own people ask of the register of consents, over the control socket.

Every change is logged before it takes effect. Customers come in by the institution's own numbers, which go into no
log, no error and no statement.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from consortia_common.audit_segments import LogFolder, records
from consortia_common.audit_verify import find_log
from consortia_common.consent_proof import ROOTS, ConsentProof
from consortia_common.database import reading
from consortia_common.documents.consent_notice import ConsentNotice
from consortia_crypto.audit.entry import Entry
from consortia_node import consent_proofs
from consortia_node.cohorts import Cohorts
from consortia_node.consent import ENDING, Change, ConsentRecord, milliseconds, moment, refuse
from consortia_node.consent_import import Findings
from consortia_node.sources.consent_file import read_file
from consortia_node.sources.consent_postgres import read_postgres
from consortia_node.sources.consent_rows import refuse as refuse_table
from consortia_node.sources.consent_rows import rows_of
from consortia_node.store.consent_intake import Taken
from consortia_node.store.statements import StatementStore
from consortia_node.store.subject_record import Held
from consortia_node.store.subjects import Subject
from consortia_node.tools import Tools
from consortia_node.withdrawals import Reached, Withdrawals
from consortia_proto.v1 import control_pb2 as pb


class ConsentDesk:
    """``said`` is called when there may be something to tell other institutions."""

    def __init__(self, tools: Tools, withdrawals: Withdrawals, said: Callable[[], object]) -> None:
        self._tools = tools
        self._withdrawals = withdrawals
        self._said = said

    def add_notice(self, request: pb.AddConsentNoticeRequest) -> pb.ConsentNotices:
        """Register a notice that consents can cite."""
        notice = ConsentNotice.from_canonical(request.document, "the notice")

        def log() -> None:
            commitment = self._tools.log.attach(notice.canonical())
            self._tools.log.append("consent.notice", notice=notice.reference, payload_commit=commitment)

        self._tools.consents.add_notice(notice, log)
        return self.notices()

    def notices(self) -> pb.ConsentNotices:
        """Every notice."""
        return pb.ConsentNotices(documents=[notice.canonical() for notice in self._tools.consents.notices()])

    def import_(self, request: pb.ImportConsentRequest) -> pb.ImportConsentResponse:
        """Take over a consent table, all of it or nothing; or tell what that would do."""
        findings = Findings()
        if request.address:
            source, table = "postgresql", read_postgres(request.address, request.table)
        else:
            path = Path(request.path)
            source, table = "csv" if path.suffix.lower() == ".csv" else "parquet", read_file(path)
        name = request.table or Path(request.path).name
        rows = rows_of(table, name, findings)
        consents = self._tools.consents
        if request.dry_run or findings.mistaken:
            consents.examine(rows, findings)
        else:
            reached: list[Reached] = []
            ended = partial(self._ended, reached)
            consents.import_rows(rows, findings, self._tools.now_ms(), partial(self._log_import, source), ended)
            self._follow(reached)
        if findings.mistaken and not request.dry_run:
            more = f"; {findings.mistaken} rows in all" if findings.mistaken > len(findings.mistakes) else ""
            raise refuse_table(name, "; ".join(findings.mistakes) + more)
        return pb.ImportConsentResponse(
            counts=findings.states,
            log_entry=self._tools.log.size - 1,
            transitions=findings.transitions,
            rows=findings.rows,
            changed=findings.changed,
            mistaken_rows=findings.mistaken,
            mistakes=findings.mistakes,
        )

    def run_out(self) -> None:
        """Let the clock end the consents whose time is over, and log it."""

        def log(taken: Taken) -> None:
            for purpose, counts in taken.in_force.items():
                changed = taken.findings.rows
                self._tools.log.append(
                    "consent.ended", purpose=purpose, root=self._root(taken), changed=changed, **counts
                )

        self._tools.consents.run_out(self._tools.now_ms(), log)

    def change(self, request: pb.SetConsentRequest) -> pb.ConsentView:
        """Change one customer's consent; what an ended one had been used for comes back with it."""
        now = self._tools.now_ms()
        at = _moment_of(request.effective_at, "effective_at") if request.effective_at else now
        until = _moment_of(request.valid_until, "valid_until") if request.valid_until else None
        change = Change(request.state, at, request.notice or None, until, request.evidence)
        reached: list[Reached] = []
        ended = partial(self._ended, reached)
        self._tools.consents.change(request.subject, request.purpose, change, now, self._log_change, ended)
        self._follow(reached)
        view = self.view(request.subject)
        if reached:
            view.stopped.extend(sorted({job for found in reached for job in found.stopped}))
            view.statement = reached[-1].statement
        return view

    def view(self, number: str) -> pb.ConsentView:
        """One customer's consents in force, what their rows were used for, and who has acknowledged withdrawals."""
        subject = self._tools.consents.find(number)
        with reading(self._tools.engine) as connection:
            reach = self._withdrawals.reach(connection, subject.id)
            answers = StatementStore(connection).answers_about(list(reach.jobs))
        return pb.ConsentView(
            pseudonym=subject.pseudonym,
            records=[state_of(record) for record in subject.records],
            reached_jobs=reach.jobs,
            models=reach.models,
            recipients=reach.recipients,
            acknowledgements=[
                pb.Acknowledgement(
                    statement=answer.statement,
                    institution=answer.institution,
                    received_at=moment(answer.received_ms),
                )
                for answer in answers
            ],
        )

    def history(self, number: str) -> pb.ConsentHistoryView:
        """Every version of every record, each with the entry of the log that covers it and a proof."""
        subject = self._tools.consents.find(number)
        versions = [held for versions in subject.consents.values() for held in versions]
        self._tools.log.checkpoint()
        found = sorted(versions, key=lambda held: (held.record.recorded_ms, held.record.effective_ms))
        covered = self._covering(subject, found)
        transitions = [covered.get(id(held)) or _transition(held) for held in found]
        return pb.ConsentHistoryView(pseudonym=subject.pseudonym, transitions=transitions)

    def prove(self, request: pb.ProveConsentRequest) -> pb.ConsentProofs:
        """For each dataset of a job that used the customer's row, the proof that consent stood."""
        subject = self._tools.consents.find(request.subject)
        self._tools.log.checkpoint()
        proofs = consent_proofs.prove(self._tools, subject, request.job)
        files = [pb.ConsentProofFile(dataset=name, proof=proof.raw) for name, proof in proofs.items()]
        return pb.ConsentProofs(proofs=files)

    def _covering(self, subject: Subject, versions: list[Held]) -> dict[int, pb.ConsentTransition]:
        """By version, the transition with the entry that covers it: its own, or that of an import with its root."""
        covered: dict[int, pb.ConsentTransition] = {}
        for shard, raw in self._entries():
            entry = Entry.parse(raw)
            if entry.type == "consent.changed" and entry.body["subject"] == subject.pseudonym:
                held = next((held for held in versions if id(held) not in covered and _is_of(held, entry)), None)
                if held is not None:
                    covered[id(held)] = _transition(held, entry, shard)
            elif entry.type in ROOTS and "consent_ref" not in entry.body:
                for held in versions:
                    opening = consent_proofs.open_version(
                        self._tools.settings.folder, subject, held, entry.body["detail"]["root"]
                    )
                    if opening is not None and held.record.purpose == entry.body["purpose"]:
                        proof = ConsentProof.make(shard, entry, opening).raw
                        covered[id(held)] = _transition(held, entry, shard, proof)
        return covered

    def _entries(self) -> Iterator[tuple[LogFolder, bytes]]:
        for shard in find_log(self._tools.settings.audit_folder).shards():
            for raw in records(shard):
                yield shard, raw

    def _root(self, taken: Taken) -> str:
        return consent_proofs.keep_pairs(self._tools.settings.folder, taken.pairs)

    def _ended(
        self, reached: list[Reached], connection: Connection, subject_id: int, record: ConsentRecord
    ) -> None:
        """Do what belongs into the transaction of a change, if the change ends a consent."""
        if record.state in ENDING:
            reached.append(self._withdrawals.ended(connection, subject_id, record))

    def _follow(self, reached: list[Reached]) -> None:
        """Stop what the ended consents stop, and have the other institutions told."""
        for job_id in {job_id for found in reached for job_id in found.stopped}:
            self._tools.workers.end(job_id)
            Cohorts(self._tools).erase(job_id)
        if reached:
            self._said()

    def _log_import(self, source: str, taken: Taken) -> None:
        root, changed = self._root(taken), taken.findings.changed
        for purpose, counts in taken.in_force.items():
            self._tools.log.append(
                "consent.imported", purpose=purpose, root=root, source=source, changed=changed, **counts
            )

    def _log_change(self, record: ConsentRecord, commitment: str) -> None:
        evidence = {"evidence": record.evidence} if record.evidence else {}
        self._tools.log.append(
            "consent.changed",
            subject=record.pseudonym,
            purpose=record.purpose,
            decision=record.state,
            payload_commit=commitment,
            effective_at=moment(record.effective_ms),
            notice=record.notice,
            **evidence,
        )


def state_of(record: ConsentRecord) -> pb.ConsentState:
    """A version of a record, for a person to see."""
    until = record.valid_until_ms
    return pb.ConsentState(
        purpose=record.purpose,
        state=record.state,
        effective_at=moment(record.effective_ms),
        valid_until="" if until is None else moment(until),
        notice=record.notice,
        record=record.id,
        recorded_at=moment(record.recorded_ms),
        evidence=record.evidence,
    )


def _transition(
    held: Held, entry: Entry | None = None, shard: LogFolder | None = None, proof: bytes = b""
) -> pb.ConsentTransition:
    year = shard.path.name if shard is not None and shard.path.parent.name == "years" else ""
    return pb.ConsentTransition(
        state=state_of(held.record),
        commitment=held.commitment.hex(),
        log_entry=entry.index if entry else 0,
        event=entry.type if entry else "",
        year=year,
        proof=proof,
    )


def _is_of(held: Held, entry: Entry) -> bool:
    record, body = held.record, entry.body
    detail = body.get("detail", {})
    told = body["purpose"], body["decision"], detail.get("effective_at"), detail.get("notice")
    return told == (record.purpose, record.state, moment(record.effective_ms), record.notice)


def _moment_of(text: str, name: str) -> int:
    try:
        found = datetime.fromisoformat(text)
        return milliseconds(found if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise refuse(f"{name} is not a date or time in ISO 8601") from None
