"""What the coordinator takes off the added uploads, from the shares that at least t institutions revealed. Pure.

A share counts only if it is the one that its dealer committed to, so that a wrong one is passed over and its holder
or dealer named. What comes out is checked against the commitments of the first message of the round.
"""

from collections.abc import Mapping, Sequence

from consortia_crypto.errors import SumError
from consortia_crypto.sum import schedule, shamir
from consortia_crypto.sum.messages import SECRET, Revealed, Shared
from consortia_crypto.sum.plans import Sign, towards
from consortia_crypto.sum.schedule import Seeds
from consortia_crypto.sum.terms import SumPolicy


def to_remove(
    policy: SumPolicy,
    rid: bytes,
    ctx: bytes,
    shared: Mapping[str, Shared],
    added: Sequence[str],
    revealed: Mapping[str, Revealed],
) -> list[tuple[Seeds, Sign]]:
    """The self masks of U2 (``added``), and what its uploads hold of masks with the dropped; signs turned.

    Raises SumError, naming whose secret can't be rebuilt and why.
    """
    own = {name: said.self_shares for name, said in revealed.items()}
    pairs = {name: said.pair_shares for name, said in revealed.items()}
    seeds: list[tuple[Seeds, Sign]] = [
        (schedule.self_seeds(_rebuilt(policy, rid, "self", shared[name], own), ctx), -1) for name in added
    ]
    for name in (name for name in policy.roster if name in shared and name not in added):
        keys = _round_keys(policy, rid, shared[name], _rebuilt(policy, rid, "pair", shared[name], pairs))
        # The mask that other has on towards name, with its sign turned, has the sign of name towards other.
        seeds += [(schedule.pair_seeds(keys[other], ctx), towards(policy, name, other)) for other in added]
    return seeds


def _rebuilt(
    policy: SumPolicy, rid: bytes, kind: str, dealer: Shared, revealed: Mapping[str, Mapping[str, bytes]]
) -> bytes:
    """``dealer``'s b (``kind`` self) or ρ (pair), from what each holder revealed."""
    owner = dealer.sender
    shares = {holder: theirs[owner] for holder, theirs in revealed.items()}
    good = {holder: share for holder, share in shares.items() if _is_dealt(rid, kind, dealer, holder, share)}
    if len(good) < policy.threshold:
        wrong = ", ".join(holder for holder in shares if holder not in good)
        raise _refused(
            f"a secret of {owner} can't be rebuilt: {wrong} did not reveal the shares that it dealt",
            f"{wrong}, or {owner}",
        )
    # The dealer's own share, to which there is no commitment, comes last.
    used = sorted(good, key=lambda holder: holder == owner)[: policy.threshold]
    places = {policy.roster.index(holder) + 1: shamir.from_bytes(good[holder]) for holder in used}
    secret = shamir.to_bytes(shamir.combine(places, policy.threshold))
    committed = dealer.self_commitment if kind == "self" else dealer.pair_commitment
    if schedule.commitment(kind, rid, owner, secret) != committed:
        raise _refused(f"{owner} dealt shares of another secret than it committed to", owner)
    return secret


def _is_dealt(rid: bytes, kind: str, dealer: Shared, holder: str, share: bytes) -> bool:
    if int.from_bytes(share, "little") >= shamir.P:
        return False
    if holder == dealer.sender:
        return True
    dealt = dealer.dealt[holder]
    committed = dealt.self_commitment if kind == "self" else dealt.pair_commitment
    return schedule.share_commitment(kind, rid, dealer.sender, holder, share) == committed


def _round_keys(policy: SumPolicy, rid: bytes, dropped: Shared, secret: bytes) -> dict[str, bytes]:
    """The keys of a dropped institution with each other one, which it sealed for this case."""
    others = [name for name in policy.roster if name != dropped.sender]
    keys = schedule.unseal(schedule.bundle_key(secret, rid), dropped.bundle)
    if keys is None or len(keys) != SECRET * len(others):
        raise _refused(
            f"the keys that {dropped.sender} left for the case that it drops out do not open", dropped.sender
        )
    return {name: keys[SECRET * x : SECRET * (x + 1)] for x, name in enumerate(others)}


def _refused(why: str, who: str) -> SumError:
    return SumError(
        f"a sealed sum stopped at the coordinator: {why}",
        blame=who,
        remedy="ask them what happened; their updates of this round are spent, so the job must be started again",
    )
