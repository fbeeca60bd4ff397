"""The models that this node keeps: brought, handed out, and withdrawn by this institution or by another party.

Every use is logged before it happens. A withdrawal is said to the other parties of the job that made the model,
again and again until the coordinator has it, and they acknowledge it; only they are heard, by the keys that the
agreement names. What has
left a node before, as a file, no withdrawal can fetch back.
"""

import secrets
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from consortia_common.content import Content
from consortia_common.database import reading
from consortia_common.documents.base import refuse
from consortia_common.documents.fitted import Model
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_common.documents.statements import MODEL_WITHDRAWN, SKEW_MS, ModelWithdrawal
from consortia_crypto.keys import PublicIdentity
from consortia_node import agreement as agreements
from consortia_node import jobs as rules
from consortia_node.answers import Answer
from consortia_node.consent import moment
from consortia_node.errors import AgreementError, StoreError
from consortia_node.notices import signed_parts
from consortia_node.statements import Statements, addressed
from consortia_node.store.agreements import AgreementStore
from consortia_node.store.jobs import JobStore, StoredJob
from consortia_node.store.models import IMPORTED, ModelStore, StoredModel, Withdrawn
from consortia_node.store.statements import StatementStore
from consortia_node.tools import Tools
from consortia_proto.v1 import control_pb2 as pb
from consortia_proto.v1 import exchange_pb2

STEP = "notice.model"
"""The step of a task that brings a withdrawal; what is answered to it goes out through StatementOutbox."""


class ModelDesk:
    """``said`` is called when there may be something to tell other institutions."""

    def __init__(self, tools: Tools, said: Callable[[], object]) -> None:
        self._tools = tools
        self._statements = Statements(tools)
        self._said = said

    def add(self, request: pb.AddModelRequest) -> pb.ModelView:
        """Keep a model of the institution's own under a name."""
        model = Model.from_canonical(request.document, "the model")
        self._tools.log.append("model.added", model=request.name, digest=model.hash(), origin=IMPORTED)
        with self._tools.engine.begin() as connection:
            ModelStore(connection).put(request.name, model, IMPORTED)
        return self.show(request.name).view

    def all(self) -> pb.ModelList:
        """Every model that is kept here, and every one that was withdrawn, kept here or not."""
        with reading(self._tools.engine) as connection:
            store, statements = ModelStore(connection), StatementStore(connection)
            kept = [_view(stored, statements) for stored in store.all()]
            absent = {by.job_id: by for by in reversed(store.of_absent())}
            views = [
                pb.ModelView(name=job_id, origin=job_id, withdrawn=_withdrawn(by, statements))
                for job_id, by in absent.items()
            ]
        return pb.ModelList(models=[*kept, *views])

    def show(self, name: str) -> pb.ModelDocument:
        """A model to be read about; one that was withdrawn too."""
        stored = self._find(name)
        return self._document(stored)

    def export(self, name: str) -> pb.ModelDocument:
        """A model to be used elsewhere. Raises StoreError if it was withdrawn."""
        stored = self._find(name)
        stored.require_standing()
        self._tools.log.append("model.exported", model=name, digest=stored.model.hash())
        return self._document(stored)

    def withdraw(self, name: str, reason: str) -> pb.ModelView:
        """Withdraw a model for all parties of its job. Raises StoreError if it was withdrawn already.

        ``name`` may be that of a job whose model only its analyst holds.
        """
        with reading(self._tools.engine) as connection:
            stored = ModelStore(connection).get(name)
        job = self._job(stored.model.origin.job) if stored else self._trained(name)
        if stored:
            stored.require_standing()
        stated = self._stated(stored, job, reason)
        commit = self._tools.log.attach(stated.canonical()) if job else None
        self._log(stated, model=name if stored else None, payload_commit=commit)
        with self._tools.engine.begin() as connection:
            ModelStore(connection).withdraw(_row(stated))
            if job:
                self._statements.write(connection, stated.statement, MODEL_WITHDRAWN, stated.canonical())
        self._said()
        return next(view for view in self.all().models if view.name == name)

    def receive(self, task: exchange_pb2.Task, content: Content) -> Answer:
        """Another party's withdrawal, as the coordinator passes it on. Raises ConsortiaError."""
        del task
        document, signature, signer = signed_parts(content)
        stated = ModelWithdrawal.from_canonical(document, "the withdrawal of a model")
        self._require_own_words(stated, signer)
        signer.verify(MODEL_WITHDRAWN, document, signature)
        self._require_party(stated, signer)
        with reading(self._tools.engine) as connection:
            if ModelStore(connection).knows(_row(stated)):
                return Answer(Content())
        self._log(stated, payload_commit=self._tools.log.attach(document))
        return Answer(Content(), store=partial(self._keep, stated))

    def _keep(self, stated: ModelWithdrawal, connection: Connection) -> None:
        ModelStore(connection).withdraw(_row(stated))
        self._statements.acknowledge(connection, stated.statement, stated.institution)

    def _document(self, stored: StoredModel) -> pb.ModelDocument:
        with reading(self._tools.engine) as connection:
            view = _view(stored, StatementStore(connection))
        return pb.ModelDocument(document=stored.model.canonical(), view=view)

    def _find(self, name: str) -> StoredModel:
        with reading(self._tools.engine) as connection:
            stored = ModelStore(connection).get(name)
        if stored is None:
            raise _unknown(name)
        return stored

    def _job(self, job_id: str) -> StoredJob | None:
        with reading(self._tools.engine) as connection:
            return JobStore(connection).get(job_id) if job_id else None

    def _trained(self, job_id: str) -> StoredJob:
        """A finished training whose model is not kept here, and stands. Raises StoreError."""
        job = self._job(job_id)
        if job is None or job.state != rules.FINISHED or _spec(job).kind != "train":
            raise _unknown(job_id)
        with reading(self._tools.engine) as connection:
            known = [by for by in ModelStore(connection).of_absent() if by.job_id == job_id]
        for by in known:
            by.refuse(job_id)
        return job

    def _stated(self, stored: StoredModel | None, job: StoredJob | None, reason: str) -> ModelWithdrawal:
        parties = _parties(job) if job else ()
        return ModelWithdrawal.from_value(
            {
                "statement": secrets.token_hex(16),
                "network": self._tools.settings.network,
                "job": stored.model.origin.job if stored else job.job_id if job else "",
                "model": stored.model.hash() if stored else "",
                "institution": self._tools.institution,
                "signer": self._tools.identity.public.fingerprint,
                "recipients": [party for party in parties if party != self._tools.institution],
                "reason": reason,
                "at_ms": self._tools.now_ms(),
            },
            "the withdrawal",
        )

    def _log(self, stated: ModelWithdrawal, **more: object) -> None:
        said = {
            "job": stated.job or None,
            "digest": stated.model or None,
            "recipients": list(stated.recipients[:50]),
            **more,
        }
        self._tools.log.append(
            MODEL_WITHDRAWN,
            institution=stated.institution,
            reason=stated.reason,
            statement=stated.statement,
            **{name: value for name, value in said.items() if value is not None},
        )

    def _require_own_words(self, stated: ModelWithdrawal, signer: PublicIdentity) -> None:
        said = (stated.network, stated.institution, stated.signer)
        if said != (self._tools.settings.network, signer.institution, signer.fingerprint):
            raise refuse("the withdrawal", ["it is for another network, or names another signer than its own"])
        if stated.at_ms > self._tools.now_ms() + SKEW_MS:
            raise refuse("the withdrawal", ["it is from the future"])

    def _require_party(self, stated: ModelWithdrawal, signer: PublicIdentity) -> None:
        """Whoever withdraws must be a party to the job, and the model be that job's."""
        job = self._job(stated.job)
        if job is None or job.state == rules.REFUSED or signer.institution not in _parties(job):
            raise AgreementError(
                f"{signer.institution} withdrew a model that {self._tools.institution} has not trained with it",
                blame=signer.institution,
                remedy="compare the two institutions' logs with `consortia audit reconcile`",
            )
        agreement = AgreementStore(self._tools.engine).find(job.agreement).agreement
        agreements.require_signer(agreement, signer)
        self._tools.peers.require_standing(signer.fingerprint)
        with reading(self._tools.engine) as connection:
            stored = ModelStore(connection).get(stated.job)
        if stored is not None and stated.model not in ("", stored.model.hash()):
            raise refuse("the withdrawal", ["it names another model than the one that the job made"])


def _unknown(name: str) -> StoreError:
    return StoreError(
        f"this node keeps no model named {name[:60]}, and knows no finished training of that id",
        blame="whoever asked",
        remedy="`consortia model list` shows those there are",
    )


def _spec(job: StoredJob) -> JobSpec:
    return Submission.from_canonical(job.submission, "a stored submission").spec


def _parties(job: StoredJob) -> tuple[str, ...]:
    return _spec(job).parties


def _row(stated: ModelWithdrawal) -> Withdrawn:
    return Withdrawn(stated.model, stated.job, stated.institution, stated.reason, stated.at_ms, stated.statement)


def _view(stored: StoredModel, statements: StatementStore) -> pb.ModelView:
    return pb.ModelView(
        name=stored.name,
        digest=stored.model.hash(),
        origin=stored.origin,
        features=stored.model.columns,
        withdrawn=_withdrawn(stored.withdrawn, statements) if stored.withdrawn else None,
    )


def _withdrawn(by: Withdrawn, statements: StatementStore) -> pb.WithdrawnModel:
    """Who withdrew it, when and why; if it was this institution, who was told, and who has said so."""
    own = statements.find(by.statement)
    answers = [
        pb.Acknowledgement(
            statement=answer.statement, institution=answer.institution, received_at=moment(answer.received_ms)
        )
        for answer in statements.answers_to(by.statement)
    ]
    recipients = addressed(own)[0] if own else ()
    return pb.WithdrawnModel(
        institution=by.institution,
        at=moment(by.at_ms),
        reason=by.reason,
        recipients=recipients,
        acknowledgements=answers,
    )
