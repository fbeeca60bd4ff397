"""What this node keeps of a job's sealed sums: its state in each, the files, and what its receipt says of all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from consortia_common import sealed
from consortia_common.documents.receipt import Missing, SumsUsed
from consortia_crypto.sum.epoch import EpochSecrets
from consortia_crypto.sum.member import Member
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.vector import Layout
from consortia_crypto.sum.wire import PARAMETERS, wire_layout
from consortia_node.accepted import AcceptedJob
from consortia_node.epochs import secrets_of
from consortia_node.store.sums import StoredSum
from consortia_node.sumfiles import SumFiles
from consortia_node.tools import Tools

TOTALS = "sum.totals"
"""The name under which a job keeps what stands for all totals so far."""


@dataclass(frozen=True)
class KeptSum:
    """A sum of a job; ``values`` are the job's, and ``attempt`` is the one that is asked about."""

    job_id: str
    policy: SumPolicy
    files: SumFiles
    attempt: int
    values: Mapping[str, bytes] = field(repr=False)  # the job's keys are among them
    stored: StoredSum | None = field(repr=False)

    @property
    def name(self) -> str:
        """Which of the job's sums."""
        return self.files.name

    @property
    def turn(self) -> int:
        """Of which round."""
        return self.files.turn

    @property
    def epoch(self) -> EpochSecrets:
        """The job's keys at this node."""
        return secrets_of(self.values, self.job_id)

    @property
    def secret(self) -> bytes | None:
        """The shared key of the engine "lattice"."""
        return self.epoch.attachment or None

    @property
    def member(self) -> Member | None:
        """Where this node stands in the sum, if it has begun."""
        if self.stored is None:
            return None
        return Member.from_bytes(self.stored.state, self.policy, self.epoch)

    @property
    def totals(self) -> str:
        """What stands for the job's totals so far."""
        return self.values.get(TOTALS, sealed.NOTHING_BEFORE.encode()).decode()

    @property
    def wire(self) -> Layout:
        """How the sealed vector is cut into frames."""
        return wire_layout(self.policy)

    def storable(self, state: Member) -> StoredSum:
        """This node's state in the sum, as it is stored."""
        return StoredSum(self.job_id, self.name, self.turn, state.attempt, state.to_bytes())


def sum_folder(tools: Tools, job_id: str) -> Path:
    """Where a job keeps the vectors of its sums; removed with its rows when it ends."""
    return tools.settings.folder / "work" / job_id / "sums"


def sums_used(job: AcceptedJob, opened: Sequence[StoredSum]) -> SumsUsed | None:
    """What the receipt says of the job's sums."""
    shapes = job.spec.parameters.sums()
    if not shapes:
        return None
    policy = sealed.policy_of(job.job_id, job.spec, *job.spec.summed()[0])
    widths = " and ".join(str(bits) for bits in sorted({shape.word_bits for shape in shapes.values()}))
    return SumsUsed(
        engine=job.spec.engine,
        parameters=f"{PARAMETERS[job.spec.engine]}; words of {widths} bits",
        institutions=len(policy.roster),
        threshold=policy.threshold,
        colluding=policy.colluding,
        opened=len(opened),
        missing=tuple(
            Missing(sum=f"{stored.name}/{stored.turn}" if stored.turn else stored.name, institutions=left_out)
            for stored in sorted(opened, key=lambda item: job.spec.summed().index((item.name, item.turn)))
            if (left_out := tuple(party for party in policy.roster if party not in stored.institutions))
        ),
    )
