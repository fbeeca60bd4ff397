"""Which masks go where: on an institution's upload, and off a total. Pure; the arithmetic is elsewhere.

    upload_i = q_i + Σ_{j>i} PRG(s_ij) − Σ_{j<i} PRG(s_ij) + PRG(self_i) + [i ∈ Pad]·PRG(pad_i),   i, j ∈ U1

in the order of the roster. The tag gets masks of its own in the same places. A plan is as secret as its seeds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from consortia_crypto.sum import schedule
from consortia_crypto.sum.masking import Mask
from consortia_crypto.sum.schedule import Seeds
from consortia_crypto.sum.terms import SumPolicy

Sign = Literal[1, -1]


@dataclass(frozen=True)
class MaskPlan:
    """What goes on an upload: ``masks`` on the vector, ``tag_masks`` on its tag, whose key is ``tag_key``."""

    masks: tuple[Mask, ...]
    tag_masks: tuple[Mask, ...]
    tag_key: bytes = field(repr=False)


@dataclass(frozen=True)
class RemovePlan:
    """What the coordinator puts on the added uploads of the set, so that only the pads stay."""

    masks: tuple[Mask, ...]


@dataclass(frozen=True)
class OpenPlan:
    """What opens a total: ``masks`` and ``tag_masks`` take the pads off, and no |sum| may be above ``bound``.

    ``tag`` is the tags' total as it came, with the pads' masks still on it.
    """

    masks: tuple[Mask, ...]
    tag_masks: tuple[Mask, ...]
    tag_key: bytes = field(repr=False)
    tag: int
    bound: int
    contributors: tuple[str, ...]
    attempt: int


def towards(policy: SumPolicy, me: str, other: str) -> Sign:
    """The sign of ``me``'s mask with ``other``."""
    return 1 if policy.roster.index(other) > policy.roster.index(me) else -1


def split(seeds: Iterable[tuple[Seeds, Sign]]) -> tuple[tuple[Mask, ...], tuple[Mask, ...]]:
    """Masks of the vector, and masks of the tag."""
    signed = list(seeds)
    return (
        tuple(Mask(seed.vector, sign) for seed, sign in signed),
        tuple(Mask(seed.tag, sign) for seed, sign in signed),
    )


def context(policy: SumPolicy, roster_hash: bytes, previous: bytes, rid: bytes, digests: dict[str, bytes]) -> bytes:
    """ctx of the round whose participants sent R1s with these digests."""
    return schedule.context(rid, bytes.fromhex(policy.digest()), roster_hash, previous, digests)
