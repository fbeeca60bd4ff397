"""What institutions say to each other about consent that ended: which jobs relied on it, never whose it was.

The institution of the customer states it, signed; each recipient answers with an acknowledgement, signed too, as
to the withdrawal of a model. The coordinator passes both on to whom they name and can alter neither.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from consortia_common.documents.base import Document, Moment, Name

WITHDRAWN, ACKNOWLEDGED = "consent.withdrawn", "withdrawal.acknowledged"
"""The types of statement; also the domains of their signatures."""

MOST_JOBS = 10_000
"""Of which one statement can speak; of more, several do."""
StatementId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
JobId = Annotated[str, StringConstraints(pattern=r"^job-[0-9a-f]{16}$")]


class WithdrawalStatement(Document):
    """A consent that these jobs relied on does not stand any more."""

    schema_version: Literal[1] = 1
    statement: StatementId
    institution: Name
    recipients: Annotated[tuple[Name, ...], Field(min_length=1, max_length=200)]
    purpose: Name
    state: Literal["withdrawn", "terminated", "invalidated", "refused"]
    effective_at: Moment
    jobs: Annotated[tuple[JobId, ...], Field(min_length=1, max_length=MOST_JOBS)]


class Acknowledgement(Document):
    """A recipient has taken note of a withdrawn consent or model."""

    schema_version: Literal[1] = 1
    statement: StatementId
    institution: Name
    recipients: Annotated[tuple[Name, ...], Field(min_length=1, max_length=1)]
    received_at: Moment


ConsentStatement = WithdrawalStatement | Acknowledgement


def read(kind: str, data: bytes) -> ConsentStatement:
    """The statement of that type. Raises DocumentError."""
    document = WithdrawalStatement if kind == WITHDRAWN else Acknowledgement
    return document.from_canonical(data, "the statement about consent")
