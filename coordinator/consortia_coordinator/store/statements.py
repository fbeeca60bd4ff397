"""Statements that institutions published: kept as they came, passed on as they came."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from threading import Lock

from sqlalchemy import Engine, func, insert, select

from consortia_common.database import reading
from consortia_coordinator.store.tables import statements
from consortia_proto.v1 import network_pb2


@dataclass(frozen=True)
class StoredStatement:
    """A statement, its id, which is the digest of everything in it, and its author's fingerprint."""

    statement_id: str
    statement: network_pb2.Statement
    author: str
    place: int = 0
    """Larger than that of each statement before."""


class StatementStore:
    """Reads and writes of the statements table; one for each process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._adding = Lock()
        """No two statements have one place, on a database whose writers need not queue either."""

    def add(self, statement: network_pb2.Statement, author: str, now_ms: int) -> StoredStatement:
        """Keep a statement; one that is there already is left as it is."""
        stored = StoredStatement(_digest(statement), statement, author)
        with self._adding, self._engine.begin() as connection:
            known = select(statements.c.statement_id).where(statements.c.statement_id == stored.statement_id)
            if connection.scalar(known) is None:
                last = connection.scalar(select(func.max(statements.c.received_ms))) or 0
                row = {
                    "statement_id": stored.statement_id,
                    "type": statement.type,
                    "institution": statement.institution,
                    "author": author,
                    "document": statement.document,
                    "signature": statement.signature,
                    "received_ms": max(now_ms, last + 1),
                }
                connection.execute(insert(statements), row)
        return stored

    def after(self, place: int, types: Collection[str] = (), most: int = 50) -> list[StoredStatement]:
        """The next statements, of these types if any is named, oldest first."""
        query = select(statements).where(statements.c.received_ms > place)
        if types:
            query = query.where(statements.c.type.in_(types))
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(statements.c.received_ms).limit(most)).all()
        return [
            StoredStatement(
                row.statement_id,
                network_pb2.Statement(
                    type=row.type, document=row.document, signature=row.signature, institution=row.institution
                ),
                row.author,
                row.received_ms,
            )
            for row in rows
        ]


def _digest(statement: network_pb2.Statement) -> str:
    parts = (statement.type, statement.institution, statement.document, statement.signature)
    joined = b"".join(
        len(part).to_bytes(8, "little") + part
        for part in (item.encode() if isinstance(item, str) else item for item in parts)
    )
    return hashlib.sha256(joined).hexdigest()[:40]
