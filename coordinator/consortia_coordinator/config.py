"""The coordinator's settings: ``coordinator.toml`` in its folder, ``CONSORTIA_COORDINATOR__…`` over it."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from consortia_common.settings import Address, LocalPath, LoopbackAddress, NetworkName, Settings
from consortia_coordinator.limits import JobLimits

INSTITUTION = "coordinator"
"""The institution that the coordinator's own certificate and identity name; nobody else may have it."""


class CoordinatorSettings(Settings):
    """See the commented sample that ``consortia network init`` writes."""

    PART: ClassVar[str] = "COORDINATOR"

    network: NetworkName
    listen: Address
    """The one port; everything comes in here, under mutual TLS."""
    address: Address | None = None
    """What invitations tell members to dial, where that is not ``listen``."""
    certificate_days: Annotated[int, Field(ge=1, le=90)] = 30
    """How long a member's certificate is valid; it is renewed after two thirds of that."""
    monitor_listen: LoopbackAddress | None = None
    """Where this machine may ask for /livez, /readyz and /metrics; none unless set."""
    heartbeat_seconds: Annotated[float, Field(ge=0.1, le=60)] = 5.0
    """How often a node shows that it lives; three missed and it counts as gone."""
    max_message_mib: Annotated[int, Field(ge=1, le=1024)] = 256
    """Largest task or reply, all its chunks together."""
    max_connections: Annotated[int, Field(ge=4, le=100_000)] = 2000
    """Most connections at a time, of everybody together; a node keeps one, or two for a moment."""
    calls_per_second: Annotated[float, Field(ge=1, le=100_000)] = 100.0
    """How often a member may call; ten seconds' worth may come at once."""
    max_jobs: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Most jobs under way."""
    max_jobs_per_analyst: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Most jobs of one analyst under way."""
    max_queue: Annotated[int, Field(ge=10, le=1_000_000)] = 10_000
    """Most tasks that wait for one node; beyond that it is in no new job until it has caught up."""
    worker_memory_mib: Annotated[int, Field(ge=256, le=1 << 20)] = 4096
    """Most memory of the process that reads a job's ciphertexts."""
    worker_seconds: Annotated[int, Field(ge=1, le=7 * 86_400)] = 3600
    """Longest that it may take to add one party's upload."""
    offer_seconds: Annotated[int, Field(ge=1, le=7 * 86_400)] = 300
    """How long nodes may take to accept or refuse a job."""
    step_seconds: Annotated[int, Field(ge=1, le=7 * 86_400)] = 3600
    """How long nodes may take for one step of a job, time to reconnect included."""
    witnesses: Literal["none"] | LocalPath = Path("witness.policy")
    """The file that says whose cosignatures this log's checkpoints need before a result is published; or "none"."""
    witness_seconds: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """How long a result may wait for the witnesses before its job fails."""

    dropout_seconds: Annotated[int, Field(ge=1, le=7 * 86_400)] = 300
    """How long a sum waits for parties that it can do without, once as many as it needs are there."""

    @property
    def job_limits(self) -> JobLimits:
        """How many jobs may be under way, and tasks wait for a node."""
        return JobLimits(self.max_jobs, self.max_jobs_per_analyst, self.max_queue)

    @property
    def public_address(self) -> str:
        """Where members dial."""
        return self.address or self.listen

    @property
    def identity_file(self) -> Path:
        """The coordinator's private identity."""
        return self.folder / "identity.key"

    @property
    def public_identity_file(self) -> Path:
        """Its public half."""
        return self.folder / "identity.json"

    @property
    def audit_folder(self) -> Path:
        """The coordinator's audit log."""
        return self.folder / "log"

    @property
    def sums_folder(self) -> Path:
        """Sealed totals in the making; each job's go when it ends."""
        return self.folder / "sums"

    @property
    def database_file(self) -> Path:
        """The coordinator's database."""
        return self.folder / "coordinator.db"

    @property
    def roots_file(self) -> Path:
        """The signed list of roots that members are to trust, once the first root was followed by another."""
        return self.folder / "roots.signed"

    @property
    def exchange_folder(self) -> Path:
        """Long messages on their way, in and out."""
        return self.folder / "exchange"

    @property
    def issuing_certificate_file(self) -> Path:
        """The authority that issues members' certificates."""
        return self.folder / "issuing.pem"

    @property
    def issuing_key_file(self) -> Path:
        """Its private key."""
        return self.folder / "issuing.key"

    @property
    def next_issuing_key_file(self) -> Path:
        """The private key for which the root has been asked to make a certificate."""
        return self.folder / "issuing.next.key"


def load(path: Path) -> CoordinatorSettings:
    """The coordinator's settings. Raises SettingsError."""
    return CoordinatorSettings.load(path)
