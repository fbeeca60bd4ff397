"""What this institution offers under an agreement, told to the agreement's analysts: descriptions, never values.

The question is logged before it is looked at, the answer before it is given. Of a dataset only the columns that the
agreement names here are told, and the number of rows in bands, counted anew only when a file has changed.
"""

from collections.abc import Iterator
from decimal import Decimal

from consortia_common.content import Content
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.base import refuse
from consortia_common.documents.catalogue import (
    ANSWER_DOMAIN,
    CatalogueAnswer,
    CatalogueColumn,
    CatalogueDataset,
    CatalogueQuestion,
)
from consortia_common.documents.plan import Band, band
from consortia_common.gate.rules import max_grade
from consortia_node.agreement import ACTIVE
from consortia_node.answers import Answer
from consortia_node.asked import read
from consortia_node.datasets import ColumnSettings, DatasetSettings
from consortia_node.errors import RefusedError, SourceError
from consortia_node.sources.places import state_of
from consortia_node.sources.profile import count_rows
from consortia_node.store.agreements import AgreementStore
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2 as pb


class Catalogue:
    """Answers the step "catalogue"."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._agreements = AgreementStore(tools.engine)
        self._counted: dict[str, tuple[str, int]] = {}
        """By dataset, its rows when its files stood so."""

    def ask(self, task: pb.Task, content: Content) -> Answer:
        """What is offered, signed. Raises DocumentError, CryptoError for what is no question; RefusedError."""
        asked = read(content, "question", "the question")
        question = CatalogueQuestion.from_canonical(asked.document, "the question")
        if question.question_id != task.job_id or question.network != self._tools.settings.network:
            raise refuse("the question", ["its id is not that of the task, or it is for another network"])
        asked.verify(question.domain(), question.analyst, "the question")
        self._tools.log.append(
            "catalogue.asked",
            **question.logged,
            fingerprint=question.analyst,
            parties=question.asked,
            payload_commit=self._tools.log.attach(question.canonical()),
        )
        agreement = self._agreement(question)
        answer = CatalogueAnswer(
            network=question.network,
            institution=self._tools.institution,
            question=question.hash(),
            agreement=agreement.reference,
            datasets=tuple(self._datasets(agreement)),
            answered_ms=self._tools.now_ms(),
        )
        document = answer.canonical()
        self._tools.log.append("catalogue.told", agreement=agreement.reference, digest=answer.hash())
        signature = self._tools.identity.sign(ANSWER_DOMAIN, document)
        return Answer(Content(config={"answer": document, "signature": signature}))

    def _agreement(self, question: CatalogueQuestion) -> Agreement:
        """The agreement, if it is in force and whoever asks is one of its analysts. Raises RefusedError."""
        stored = self._agreements.citing(question.agreement)
        if stored is None:
            raise RefusedError("agreement", f"{self._tools.institution} knows no agreement {question.agreement}.")
        if stored.state != ACTIVE:
            raise RefusedError("state", f"Agreement {stored.agreement.short} is {stored.state}.")
        if not stored.agreement.valid_from <= self._tools.clock() < stored.agreement.valid_until:
            raise RefusedError("valid_until", f"Agreement {stored.agreement.short} is not within its period.")
        if question.analyst not in {analyst.key for analyst in stored.agreement.analysts}:
            raise RefusedError("analysts", "The question is signed by none of the agreement's analysts.")
        return stored.agreement

    def _datasets(self, agreement: Agreement) -> Iterator[CatalogueDataset]:
        for dataset in self._tools.settings.datasets:
            columns = tuple(self._columns(agreement, dataset))
            if columns:
                yield CatalogueDataset(
                    name=dataset.name, meaning=dataset.meaning, rows=self._rows(dataset), columns=columns
                )

    def _columns(self, agreement: Agreement, dataset: DatasetSettings) -> Iterator[CatalogueColumn]:
        for name, column in dataset.offered.items():
            limit = max_grade(agreement, self._tools.institution, dataset.name, name)
            if limit is not None and column.grade <= limit:
                yield _told(name, column)

    def _rows(self, dataset: DatasetSettings) -> Band | None:
        try:
            state = state_of(dataset)
            known = self._counted.get(dataset.name)
            if known is None or not state or known[0] != state:
                self._counted[dataset.name] = known = state, count_rows(dataset)
        except SourceError:
            return None
        return band(known[1])


def _told(name: str, column: ColumnSettings) -> CatalogueColumn:
    low, high = (None if end is None else Decimal(repr(end)) for end in (column.low, column.high))
    return CatalogueColumn(
        name=name,
        type=column.type,
        role=column.role,
        meaning=column.meaning,
        unit=column.unit,
        grade=column.grade,
        low=low,
        high=high,
        values=column.values,
    )
