"""What the parts of a node share: settings, identity, log, database, keys, consents, journal, workers, clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine

from consortia_common.audit_log import AuditLog
from consortia_crypto.audit.entry import Entry
from consortia_crypto.keys import PrivateIdentity
from consortia_node.config import NodeSettings
from consortia_node.coordinator_clock import CoordinatorClock
from consortia_node.keyring import Keyring
from consortia_node.peers import Peers
from consortia_node.store.consents import ConsentStore
from consortia_node.store.tasks import TaskStore
from consortia_node.witnessing import Witnessing
from consortia_node.workers import Workers


@dataclass(frozen=True)
class Tools:
    """One of each, made at start."""

    settings: NodeSettings
    identity: PrivateIdentity
    log: AuditLog
    engine: Engine
    keys: Keyring
    consents: ConsentStore
    tasks: TaskStore
    peers: Peers
    workers: Workers
    witnessing: Witnessing
    clock: Callable[[], datetime]
    coordinator_clock: CoordinatorClock = field(default_factory=CoordinatorClock)

    @property
    def institution(self) -> str:
        """Whose node this is."""
        return self.settings.institution

    def witnessed(self, entry: Entry) -> None:
        """Return when the witnesses have cosigned a log that has ``entry`` in it. Raises WitnessError."""
        self.witnessing.rounds.witnessed(entry)

    def now_ms(self) -> int:
        """The clock in Unix milliseconds."""
        return int(self.clock().timestamp() * 1000)
