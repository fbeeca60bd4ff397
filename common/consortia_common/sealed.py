"""PURE: which sealed sums a job spec implies; every side derives them from the signed spec, none sends them."""

import hashlib
from collections.abc import Mapping
from typing import Any

from consortia_common.content import Content
from consortia_common.documents.jobspec import JobSpec
from consortia_common.errors import ExchangeError
from consortia_crypto.sum.terms import Scale, SumPolicy
from consortia_proto.v1 import content_pb2 as pb

STEPS = ("sum.share", "sum.upload", "sum.frame", "sum.sign", "sum.reveal", "sum.total")
"""The steps of the sealed-sum protocol, beside those of a job's course (docs/sealed-sum.md)."""

BATCH = 8
"""Frames of a sealed vector, each of at most 1 MiB, that one task or answer carries."""
BEFORE, BEHIND = "before.", "behind."
"""Prefixes of what rides with a step of a job: the last frames of the total before it, which the step may need; of
the sum for which the step makes the summand, the lists of R1, and R2 in the step's answer."""
TOGETHER = 8
"""Sums whose first messages one task asks for: they depend on no data and on no total."""


def policy_of(job_id: str, spec: JobSpec, name: str, turn: int) -> SumPolicy:
    """The policy of the sealed sum ``name`` of round ``turn``: a function of the signed spec alone.

    It names the spec by its whole hash: parties that were given different specs under one (shorter) job id can't
    be made to add what they did not agree to add.
    """
    shape = spec.parameters.sums()[name]
    return SumPolicy(
        session=f"{job_id}/{spec.hash()}/{name}/{turn}",
        roster=spec.parties,
        colluding=spec.colluders,
        word_bits=shape.word_bits,
        length=shape.length,
        engine=spec.engine,
        scales=tuple(Scale(tensor.length, float(tensor.clip)) for tensor in shape.tensors),
    )


def reporters(spec: JobSpec) -> tuple[str, ...]:
    """Who seals for the analyst if nobody has dropped out: one party, and as many more as may drop out."""
    spare = len(spec.parties) - policy_of("", spec, *spec.summed()[0]).threshold if spec.summed() else 0
    return spec.parameters.reporters(spec.parties)[: 1 + spare]


def epoch_session(job_id: str, spec: JobSpec) -> str:
    """What a job's epoch is bound to."""
    return f"{job_id}/{spec.hash()}"


def require_sum(spec: JobSpec, name: str, turn: int, asker: str) -> None:
    """Return if the job has this sum. Raises ExchangeError, which blames ``asker``, if not."""
    if (name, turn) not in spec.summed():
        raise ExchangeError(
            f"the job has no sum {name[:40]!r} of round {turn}",
            blame=asker,
            remedy="coordinator and nodes must run compatible versions of Consortia",
        )


def shared_together(spec: JobSpec) -> list[tuple[tuple[str, int], ...]]:
    """The job's sums in order, cut into those whose first messages are asked for together."""
    summed = spec.summed()
    return [summed[first : first + TOGETHER] for first in range(0, len(summed), TOGETHER)]


NOTHING_BEFORE = "0" * 64
"""What stands for the totals before a job's first."""


def chained(before: str, digest: str) -> str:
    """What stands for all totals of a job up to the one with this SHA-256; goes into the keys of the next."""
    return hashlib.sha256(bytes.fromhex(before) + bytes.fromhex(digest)).hexdigest()


def riding(prefix: str, words: Mapping[str, Any]) -> dict[str, Any]:
    """A message of the protocol as it rides with a step."""
    return {prefix + name: value for name, value in words.items()}


def ridden(content: Content, prefix: str) -> Content:
    """The message of the protocol that rode with a step; empty if none did."""
    return Content(
        config={
            name.removeprefix(prefix): value for name, value in content.config.items() if name.startswith(prefix)
        }
    )


def unload(content: pb.Content) -> None:
    """Take off what rides with a step, before it is read."""
    for name in [name for name in content.config if name.startswith((BEFORE, BEHIND))]:
        del content.config[name]


def bare(content: Content) -> Content:
    """A step's own content, without what rides with it."""
    own = {name: value for name, value in content.config.items() if not name.startswith((BEFORE, BEHIND))}
    return Content(content.arrays, own, content.metrics)
