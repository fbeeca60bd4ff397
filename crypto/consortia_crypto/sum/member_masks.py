"""Which masks an institution puts on its upload, and which pads it takes off a total. Pure.

What a total is said to be is checked here before anything of it is believed: that U1 took part, that at least t of
one set U2 signed that set, and that both belong to this round as this institution derives it.
"""

from collections.abc import Collection

from consortia_crypto.sum import schedule
from consortia_crypto.sum.epoch import EpochSecrets
from consortia_crypto.sum.evidence import check_certificate, check_participants, in_roster_order, padders
from consortia_crypto.sum.messages import Total
from consortia_crypto.sum.plans import MaskPlan, OpenPlan, Sign, context, split, towards
from consortia_crypto.sum.schedule import Seeds
from consortia_crypto.sum.terms import SumPolicy


def mask_plan(
    policy: SumPolicy, epoch: EpochSecrets, rid: bytes, ctx: bytes, participants: Collection[str], secret: bytes
) -> MaskPlan:
    """The masks of this institution's upload; ``secret`` is its b_i."""
    seeds: list[tuple[Seeds, Sign]] = [
        (schedule.pair_seeds(schedule.round_key(epoch.pair_keys[name], rid), ctx), towards(policy, epoch.me, name))
        for name in in_roster_order(policy, participants)
        if name != epoch.me
    ]
    seeds.append((schedule.self_seeds(secret, ctx), 1))
    if epoch.me in padders(policy, participants):
        seeds.append((schedule.pad_seeds(epoch.group_key, ctx, epoch.me), 1))
    return MaskPlan(*split(seeds), schedule.tag_key(epoch.group_key, ctx))


def open_plan(policy: SumPolicy, epoch: EpochSecrets, previous: bytes, total: Total) -> OpenPlan:
    """What opens ``total``, after checking all that shows of which round and set it is. Raises SumError."""
    rid = bytes.fromhex(policy.rid(total.attempt))
    check_participants(policy, rid, total.heads, epoch.round_keys)
    ctx = context(
        policy, epoch.roster_hash, previous, rid, {name: head.digest for name, head in total.heads.items()}
    )
    check_certificate(policy, ctx, total.heads, total.certificate, epoch.round_keys)
    contributors = in_roster_order(policy, total.certificate.proposal.uploads)
    seeds: list[tuple[Seeds, Sign]] = [
        (schedule.pad_seeds(epoch.group_key, ctx, name), -1)
        for name in padders(policy, total.heads)
        if name in contributors
    ]
    return OpenPlan(
        *split(seeds),
        schedule.tag_key(epoch.group_key, ctx),
        total.tag,
        len(contributors) * policy.limit,
        contributors,
        total.attempt,
    )
