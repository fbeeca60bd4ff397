"""What each institution says its witness keys are. The statements are signed; here they are only kept."""

from sqlalchemy import Engine, delete, insert, select

from consortia_common.database import reading
from consortia_coordinator.store.members import ACTIVE
from consortia_coordinator.store.tables import members, witnesses
from consortia_proto.v1 import witness_pb2 as pb


class WitnessesStore:
    """Reads and writes of the table; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, institution: str, statement: bytes) -> None:
        """Put the statement in the place of the one before."""
        with self._engine.begin() as connection:
            connection.execute(delete(witnesses).where(witnesses.c.institution == institution))
            connection.execute(insert(witnesses).values(institution=institution, statement=statement))

    def all(self) -> list[pb.WitnessStatement]:
        """Every active node's statement, with the identity that signed it."""
        is_node = (members.c.institution == witnesses.c.institution) & (members.c.role == "node")
        query = (
            select(members.c.identity, witnesses.c.statement)
            .join(witnesses, is_node)
            .where(members.c.state == ACTIVE)
            .order_by(members.c.institution)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [pb.WitnessStatement(identity=row.identity, statement=row.statement) for row in rows]
