"""What this institution says of consents and models withdrawn, kept until it is said; and who acknowledged it."""

from dataclasses import dataclass

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert

from consortia_common.documents.withdrawal import ACKNOWLEDGED, WITHDRAWN, WithdrawalStatement
from consortia_node.store.tables import acknowledgements, statements

WRITTEN, SENT = "written", "sent"


@dataclass(frozen=True)
class OwnStatement:
    """A signed statement; ``type`` is that of the wire."""

    statement: str
    type: str
    document: bytes
    signature: bytes
    state: str = WRITTEN


@dataclass(frozen=True)
class Answered:
    """A recipient's acknowledgement."""

    statement: str
    institution: str
    received_ms: int


class StatementStore:
    """Reads and writes of these statements on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, own: OwnStatement) -> None:
        """Keep a statement to be sent; one that is there already is left as it is."""
        self._connection.execute(insert(statements).values(vars(own)).on_conflict_do_nothing())

    def has(self, statement: str, kind: str) -> bool:
        """Whether there is a statement of that id and type."""
        here = statements.c.statement == statement, statements.c.type == kind
        return self._connection.execute(select(statements.c.state).where(*here)).first() is not None

    def unsent(self) -> list[OwnStatement]:
        """What nobody was told yet."""
        rows = self._connection.execute(select(statements).where(statements.c.state == WRITTEN))
        return [OwnStatement(**row._mapping) for row in rows]

    def mark_sent(self, own: OwnStatement) -> None:
        """Note that the coordinator has it, and passes it on."""
        table = statements.c
        here = table.statement == own.statement, table.type == own.type
        self._connection.execute(update(statements).where(*here).values(state=SENT))

    def find(self, statement: str) -> OwnStatement | None:
        """The withdrawal that was stated under this id; no acknowledgement of another's."""
        table = statements.c
        here = table.statement == statement, table.type != ACKNOWLEDGED
        row = self._connection.execute(select(statements).where(*here)).one_or_none()
        return OwnStatement(**row._mapping) if row else None

    def acknowledge(self, answered: Answered) -> bool:
        """Note an acknowledgement; False if it was noted before."""
        added = insert(acknowledgements).values(vars(answered)).on_conflict_do_nothing()
        return self._connection.execute(added).rowcount == 1

    def answers_to(self, statement: str) -> list[Answered]:
        """Who has acknowledged this one, oldest first."""
        table = acknowledgements.c
        query = select(acknowledgements).where(table.statement == statement).order_by(table.received_ms)
        return [Answered(**row._mapping) for row in self._connection.execute(query)]

    def answers_about(self, job_ids: list[str]) -> list[Answered]:
        """Who has acknowledged what was stated of consents that any of these jobs relied on, oldest first."""
        table = statements.c
        own = self._connection.execute(select(table.document).where(table.type == WITHDRAWN)).scalars()
        stated = [WithdrawalStatement.from_canonical(data, "a stored statement") for data in own]
        about = {item.statement for item in stated if set(item.jobs) & set(job_ids)}
        query = select(acknowledgements).order_by(acknowledgements.c.received_ms)
        answers = [Answered(**row._mapping) for row in self._connection.execute(query)]
        return [answer for answer in answers if answer.statement in about]
