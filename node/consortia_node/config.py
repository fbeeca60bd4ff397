"""The node's settings: ``node.toml`` in the node's folder, ``CONSORTIA_NODE__…`` over it.

Where the node belongs (network and coordinator's address) is learned at enrolment and kept in ``network.json``
beside the keys; the file may override the address, for instance where a firewall maps it.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from consortia_common import keyfiles
from consortia_common.documents.base import Name
from consortia_common.settings import Address, LocalPath, LoopbackAddress, NetworkName, Settings
from consortia_crypto import canonical
from consortia_crypto.errors import EncodingError
from consortia_node import datasets
from consortia_node.datasets import DatasetSettings
from consortia_node.errors import NotEnrolledError

MEMBERSHIP_FILE = "network.json"
NODE_NAME = "node"
"""The name in the certificate of an institution's node; there is one node per institution."""


class NodeSettings(Settings):
    """See the commented sample that ``consortia node init`` writes."""

    PART: ClassVar[str] = "NODE"

    institution: Name
    network: NetworkName | Literal[""] = ""
    coordinator: Address | Literal[""] = ""
    """Where the node dials; from enrolment unless set."""
    worker_memory_mib: Annotated[int, Field(ge=256, le=1 << 20)] = 4096
    """Most memory that one job's worker process may take."""
    worker_seconds: Annotated[int, Field(ge=1, le=7 * 86_400)] = 3600
    """Longest that one step of a job may compute."""
    monitor_listen: LoopbackAddress | None = None
    """Where this machine may ask for /livez, /readyz and /metrics; none unless set."""
    max_message_mib: Annotated[int, Field(ge=1, le=1024)] = 256
    """Largest task or reply that this node takes or gives, at least what the coordinator's settings say."""
    max_queue: Annotated[int, Field(ge=10, le=1_000_000)] = 10_000
    """Most tasks that wait here for their turn; a coordinator that sends more is hung up on."""
    abandon_days: Annotated[int, Field(ge=1, le=3650)] = 14
    """A job under way of which nothing is asked for so long is ended, and its keys and rows erased."""
    subject_keys: LocalPath = Path("unbacked/subjects.key")
    """The file with the keys of customers' keys, which must never be in a backup; see docs/erasure.md."""
    witnesses: Literal["none"] | LocalPath = Path("witness.policy")
    """The file that says whose cosignatures this log's checkpoints need before anything is released; or "none"."""
    witness_seconds: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """How long a release may wait for the witnesses before it fails."""
    members: LocalPath = Path("members.txt")
    """Fingerprints of other institutions that this one's people confirmed, a line each: INSTITUTION FINGERPRINT."""
    datasets_file: LocalPath = Path("datasets.toml")
    """The file that describes the tables that jobs may read here; see datasets.py."""

    @cached_property
    def datasets(self) -> tuple[DatasetSettings, ...]:
        """The tables that jobs may read here under agreements, as their file had them at the first look."""
        return datasets.load(self.datasets_file)

    @property
    def identity_file(self) -> Path:
        """The node's private identity."""
        return self.folder / "identity.key"

    @property
    def coordinator_file(self) -> Path:
        """The coordinator's public identity, from enrolment."""
        return self.folder / "coordinator.json"

    @property
    def audit_folder(self) -> Path:
        """The node's audit log."""
        return self.folder / "log"

    @property
    def database_file(self) -> Path:
        """The node's database."""
        return self.folder / "node.db"

    @property
    def exchange_folder(self) -> Path:
        """Long messages on their way, in and out."""
        return self.folder / "exchange"

    @property
    def control_socket(self) -> Path:
        """Where the institution's own people command the running node."""
        return self.folder / "control.sock"

    def dataset(self, name: str) -> DatasetSettings | None:
        """The dataset of that name."""
        return next((dataset for dataset in self.datasets if dataset.name == name), None)

    def require_enrolled(self) -> Self:
        """These settings, if the node belongs to a network. Raises NotEnrolledError."""
        if not (self.network and self.coordinator and self.coordinator_file.exists()):
            raise NotEnrolledError(
                "this node does not belong to a network yet",
                blame="whoever set it up",
                remedy=_ENROL,
            )
        return self


def load(path: Path) -> NodeSettings:
    """The node's settings, with what enrolment taught it, and its datasets. Raises SettingsError."""
    folder = NodeSettings.load(path).folder
    settings = NodeSettings.load(path, defaults=_membership(folder / MEMBERSHIP_FILE))
    _ = settings.datasets
    return settings


def save_membership(folder: Path, network: str, coordinator: str) -> None:
    """Keep where the node belongs."""
    document = {"network": network, "coordinator": coordinator}
    keyfiles.write_file(folder / MEMBERSHIP_FILE, canonical.encode(document))


def _membership(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return dict(canonical.decode(keyfiles.read_file(path)))
    except (EncodingError, ValueError, TypeError) as error:
        raise NotEnrolledError(
            f"{path} does not say where this node belongs", blame="whoever changed the file", remedy=_ENROL
        ) from error


_ENROL = "ask the network's operator for an invitation, then run `consortia node enrol`"
