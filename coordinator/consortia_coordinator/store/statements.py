"""Statements that institutions published: kept as they came, passed on as they came."""

import hashlib
from dataclasses import dataclass

from sqlalchemy import Engine, insert, select

from consortia_common.database import reading
from consortia_coordinator.store.tables import statements
from consortia_proto.v1 import network_pb2


@dataclass(frozen=True)
class StoredStatement:
    """A statement, its id, which is the digest of everything in it, and its author's fingerprint."""

    statement_id: str
    statement: network_pb2.Statement
    author: str


class StatementStore:
    """Reads and writes of the statements table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, statement: network_pb2.Statement, author: str, now_ms: int) -> StoredStatement:
        """Keep a statement; one that is there already is left as it is."""
        stored = StoredStatement(_digest(statement), statement, author)
        with self._engine.begin() as connection:
            known = select(statements.c.statement_id).where(statements.c.statement_id == stored.statement_id)
            if connection.scalar(known) is None:
                row = {
                    "statement_id": stored.statement_id,
                    "type": statement.type,
                    "institution": statement.institution,
                    "author": author,
                    "document": statement.document,
                    "signature": statement.signature,
                    "received_ms": now_ms,
                }
                connection.execute(insert(statements), row)
        return stored

    def all(self) -> list[StoredStatement]:
        """Every statement, oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(statements).order_by(statements.c.received_ms)).all()
        return [
            StoredStatement(
                row.statement_id,
                network_pb2.Statement(
                    type=row.type, document=row.document, signature=row.signature, institution=row.institution
                ),
                row.author,
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
