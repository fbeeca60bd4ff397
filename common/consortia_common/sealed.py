"""PURE: how sealed sums ride in Content, and which policy a spec implies; both sides derive it, none sends it."""

import hashlib

import numpy as np

from consortia_common.content import Content
from consortia_common.documents.jobspec import JobSpec
from consortia_common.errors import ExchangeError
from consortia_crypto.sum.policy import Sealed, SumPolicy

_PREFIX = "sealed."


def policy_of(job_id: str, spec: JobSpec, name: str, turn: int) -> SumPolicy:
    """The policy of the sealed sum ``name`` of round ``turn``: a function of the signed spec alone.

    It names the spec by its whole hash: parties that were given different specs under one (shorter) job id can't
    be made to add what they did not agree to add.
    """
    shape = spec.parameters.sums()[name]
    return SumPolicy(
        engine="lattice",
        session=f"{job_id}/{spec.hash()}/{name}/{turn}",
        roster=spec.parties,
        word_bits=shape.word_bits,
        length=shape.length,
    )


def to_content(sealed: Sealed) -> Content:
    """Sealed blocks as the arrays of a task or a reply."""
    return Content(
        arrays={f"{_PREFIX}{index}": np.frombuffer(block, np.uint8) for index, block in enumerate(sealed.blocks)}
    )


def holds_sealed(content: Content) -> bool:
    """Whether there is a sealed vector in ``content``."""
    return f"{_PREFIX}0" in content.arrays


def digest(content: Content) -> str:
    """SHA-256 of the sealed blocks in ``content``, each behind its length: what every log calls this vector."""
    hasher = hashlib.sha256()
    for name, array in content.arrays.items():
        if name.startswith(_PREFIX):
            hasher.update(array.nbytes.to_bytes(8, "big"))
            hasher.update(array.tobytes())
    return hasher.hexdigest()


def from_content(content: Content, sender: str) -> Sealed:
    """The sealed blocks in ``content``. Raises ExchangeError if they are not there in order and alone, as bytes."""
    names = [f"{_PREFIX}{index}" for index in range(len(content.arrays))]
    are_bytes = all(array.dtype == np.uint8 and array.ndim == 1 for array in content.arrays.values())
    if not names or list(content.arrays) != names or not are_bytes:
        raise ExchangeError(
            "a sealed vector was expected and something else came",
            blame=sender,
            remedy="both ends must run compatible versions of Consortia",
        )
    return Sealed(tuple(content.arrays[name].tobytes() for name in names))
