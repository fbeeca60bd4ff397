"""What the coordinator and k institutions learn when they pool everything: the sum of the others, and nothing else.

The pool holds every message and vector that passed the coordinator, also those that it suppressed, and every secret
and state of the institutions that help it. Each secret goes through every function of the key schedule, and what
comes out once more. What is left on the honest uploads then is read as unknowns: keystreams whose seeds are not in
the pool. The test builds, for any other values with the same sum, the keystreams with which exactly the same would
have been seen, tags included; and shows that there are none for another sum.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from consortia_crypto.sum import schedule, shamir, tag
from consortia_crypto.sum.evidence import padders
from consortia_crypto.sum.member import Member
from consortia_crypto.sum.messages import Revealed, Shared, Uploaded
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.words import Words
from tests.support.sums import Sum, Values, random_values, roster

LENGTH = 50


@dataclass
class Pool:
    """What the coordinator and ``traitors`` have of a round that was played to its end."""

    attempt: Sum
    states: dict[str, Member]
    """Of all, as they were before the total came; only those of traitors are looked into."""
    traitors: tuple[str, ...]

    def __post_init__(self) -> None:
        record = self.attempt.collector.record
        self.policy = self.attempt.policy
        self.shared = {name: Shared.from_bytes(data) for name, data in record.shared.items()}
        self.summed = tuple(record.uploaded)
        self.said = {name: Revealed.from_bytes(data) for name, data in record.revealed.items()}
        self.ctx = next(iter(self.said.values())).ctx
        self.sent = {name: said for name, said in self.attempt.seen if isinstance(said, Uploaded)}
        self.keys = self.closure()

    def closure(self) -> set[bytes]:
        """Every secret of 32 bytes that they can come to: the key schedule is two steps deep."""
        known = set(self.told())
        for _ in range(2):
            known |= {key for one in known for key in self.derived(one)}
        return known

    def told(self) -> Iterable[bytes]:
        """What they have to begin with: secrets of the traitors, and what shares put together give."""
        for name in self.traitors:
            secrets = self.attempt.keys.secrets[name]
            yield from (secrets.group_key, *secrets.pair_keys.values(), secrets.round_seed)
            yield self.states[name].record.secret
        for owner in self.shared:
            for kind in ("self", "pair"):
                if len(shares := self.shares(owner, kind)) >= self.policy.threshold:
                    yield shamir.to_bytes(shamir.combine(shares, self.policy.threshold))

    def shares(self, owner: str, kind: str) -> dict[int, int]:
        """All shares of a secret of ``owner`` that they have: revealed ones, and those dealt to traitors."""
        found: dict[str, bytes] = {}
        for holder, said in self.said.items():
            revealed = said.self_shares if kind == "self" else said.pair_shares
            if owner in revealed:
                found[holder] = revealed[owner]
        for name in self.traitors:
            found[name] = self.dealt(owner, name)[0 if kind == "self" else 1]
        return {self.policy.roster.index(name) + 1: shamir.from_bytes(share) for name, share in found.items()}

    def dealt(self, owner: str, holder: str) -> tuple[bytes, bytes]:
        rid, own = self.attempt.collector.rid, self.states[holder]
        if owner == holder:
            shares = own.record.shares
        else:
            pair, nonce = own.epoch.pair_keys[owner], self.shared[owner].nonce
            key = schedule.share_key(pair, rid, owner, holder, nonce)
            shares = schedule.unseal(key, self.shared[owner].dealt[holder].sealed) or b""
        return shares[:32], shares[32:]

    def derived(self, key: bytes) -> Iterable[bytes]:
        """All that the key schedule makes of a secret, whatever it is, and what it opens."""
        rid, names = self.attempt.collector.rid, self.policy.roster
        yield from (schedule.round_key(key, rid), schedule.tag_key(key, self.ctx))
        pads = (schedule.pad_seeds(key, self.ctx, name) for name in names)
        for seeds in (schedule.pair_seeds(key, self.ctx), schedule.self_seeds(key, self.ctx), *pads):
            yield from (seeds.vector, seeds.tag)
        for said in self.shared.values():
            opened = schedule.unseal(schedule.bundle_key(key, rid), said.bundle) or b""
            yield from (opened[place : place + 32] for place in range(0, len(opened), 32))


def played(policy: SumPolicy, hidden: Collection[str]) -> tuple[Sum, dict[str, Member]]:
    """A round in which the coordinator keeps the uploads of ``hidden`` and says that they dropped out."""
    suppressed: dict[str, Any] = {}

    def twist(name: str, message: Any) -> Any:
        if name in hidden and isinstance(message, Uploaded):
            suppressed[name] = message
            return None
        return message

    attempt = Sum(policy, random_values(policy, 7), twist=twist)
    for step in (attempt.share, attempt.upload, attempt.agree_on_set, attempt.reveal):
        step()
    states = dict(attempt.members)
    attempt.open()
    attempt.seen += suppressed.items()
    return attempt, states


@dataclass
class Left:
    """What is left of one honest upload, without all masks that are in the pool."""

    vector: Values
    tag: int
    unknown: list[tuple[bytes, bytes, int]]
    """The seeds that the pool lacks, for vector and tag, and their sign."""


def left(pool: Pool, name: str) -> Left:
    plan = pool.attempt.plans[name]
    pairs = list(zip(plan.masks, plan.tag_masks, strict=True))
    for vector, twin in pairs:
        assert (vector.seed in pool.keys) == (twin.seed in pool.keys)
    known = [pair for pair in pairs if pair[0].seed in pool.keys]
    off = tuple(type(vector)(vector.seed, -vector.sign) for vector, _ in known)
    tags_off = tuple(type(twin)(twin.seed, -twin.sign) for _, twin in known)
    opened = Words(pool.policy).open(0, pool.attempt.uploads[name].data, off)
    unknown = [(vector.seed, twin.seed, vector.sign) for vector, twin in pairs if vector.seed not in pool.keys]
    return Left(opened, tag.shift(pool.sent[name].tag, tags_off), unknown)


def modulo(policy: SumPolicy, values: NDArray[Any]) -> NDArray[np.uint64]:
    return values.astype(np.int64).view(np.uint64) & np.uint64(2**policy.word_bits - 1)


def with_the_same_sum(values: dict[str, Values], limit: int) -> dict[str, Values]:
    """Quite other values for each, within the limit, with the same sum."""
    names = list(values)
    others = {name: -(column // 3) for name, column in values.items()}
    rest = np.sum(list(values.values()), axis=0) - np.sum(list(others.values()), axis=0)
    for name in names:
        moved = np.clip(others[name] + rest, -limit, limit)
        rest = rest - (moved - others[name])
        others[name] = moved
    assert not rest.any()
    assert all((others[name] != values[name]).any() for name in names)
    return others


CASES = [(3, 1, ()), (5, 1, (4,)), (5, 2, ()), (7, 2, (0, 6)), (10, 3, (1, 5, 9))]
"""N, k, and the places of honest institutions whose uploads the coordinator hides."""


@pytest.fixture(scope="module", params=CASES, ids=str)
def pool(request: pytest.FixtureRequest) -> Pool:
    return pool_of(*request.param)


def pool_of(institutions: int, colluding: int, hidden: tuple[int, ...]) -> Pool:
    policy = SumPolicy("job-1/spec/update/1", roster(institutions), colluding, 32, LENGTH)
    kept = [policy.roster[place] for place in hidden]
    traitors = [name for name in policy.roster if name not in kept][institutions - len(kept) - colluding :]
    return Pool(*played(policy, kept), tuple(traitors))


def honest_in_sum(pool: Pool) -> list[str]:
    return [name for name in pool.summed if name not in pool.traitors]


def test_what_the_pool_lacks_is_the_masks_between_the_honest_whose_updates_were_added(pool: Pool) -> None:
    honest = honest_in_sum(pool)
    assert len(honest) >= pool.policy.threshold - len(pool.traitors) >= 2
    for name in honest:
        assert len(left(pool, name).unknown) == len(honest) - 1


def test_for_any_values_with_the_same_sum_the_same_would_have_been_seen(pool: Pool) -> None:
    """One unknown keystream between the first and each other honest one is enough to explain any values."""
    names = honest_in_sum(pool)
    values = {name: pool.attempt.values[name] for name in names}
    seen = {name: left(pool, name) for name in names}
    key = tag.TagKey.derive(pool.attempt.plans[names[0]].tag_key, pool.policy.limit)
    assert pool.attempt.plans[names[0]].tag_key in pool.keys
    others = with_the_same_sum(values, pool.policy.limit)
    for claimed, fits in ((values, True), (others, True), (others | {names[1]: values[names[1]]}, False)):
        # What the unknown masks of each must add up to, if these were the values.
        masks = {name: modulo(pool.policy, seen[name].vector - claimed[name]) for name in names}
        tags = {name: (seen[name].tag - tag.tag(key, [claimed[name]])) % tag.P for name in names}
        # Between two honest ones the same keystream is added at one and taken off at the other: so all adds up to
        # 0, and whatever adds up to 0 is made by keystreams between the first and each of the others.
        total = np.sum([masks[name] for name in names], axis=0, dtype=np.uint64)
        vanishes = not (total & np.uint64(2**pool.policy.word_bits - 1)).any() and sum(tags.values()) % tag.P == 0
        assert vanishes == fits
        for one, other in combinations(names, 2):
            shared_seed = {seed for seed, _, _ in seen[one].unknown} & {seed for seed, _, _ in seen[other].unknown}
            assert len(shared_seed) == 1


@pytest.mark.parametrize("hidden", [(), (0,)])
def test_with_nobody_s_help_the_coordinator_does_not_even_see_the_sum(hidden: tuple[int, ...]) -> None:
    """At least one of those that were added has a pad on, which only the institutions can take off."""
    pool = pool_of(5, 0, hidden)
    padded = [name for name in pool.summed if name in padders(pool.policy, pool.shared)]
    assert padded
    for name in padded:
        pad = schedule.pad_seeds(pool.attempt.keys.secrets[name].group_key, pool.ctx, name)
        assert (pad.vector, pad.tag, 1) in left(pool, name).unknown
        assert pool.attempt.plans[name].tag_key not in pool.keys


def test_an_upload_that_was_hidden_is_not_even_in_the_sum(pool: Pool) -> None:
    """All that is unknown of it is its self mask, which is on nothing else that was ever sent."""
    hidden = [name for name in pool.shared if name not in pool.summed]
    for name in hidden:
        unknown = left(pool, name).unknown
        others = [seed for other in pool.attempt.plans if other != name for seed, _, _ in _seeds(pool, other)]
        assert len(unknown) == 1
        assert unknown[0][0] not in others


def test_no_secret_of_an_honest_one_is_known_in_both_kinds(pool: Pool) -> None:
    """Of the kind that was not opened they have at most k shares, which fit any secret."""
    for owner in set(pool.shared) - set(pool.traitors):
        closed = "pair" if owner in pool.summed else "self"
        assert len(pool.shares(owner, closed)) <= len(pool.traitors) < pool.policy.threshold
        opened = "self" if closed == "pair" else "pair"
        assert len(pool.shares(owner, opened)) >= pool.policy.threshold


def _seeds(pool: Pool, name: str) -> list[tuple[bytes, bytes, int]]:
    plan = pool.attempt.plans[name]
    return [(vector.seed, twin.seed, vector.sign) for vector, twin in zip(plan.masks, plan.tag_masks, strict=True)]


def test_the_tags_would_betray_more_if_they_were_added_as_integers() -> None:
    """Why they travel modulo p (ADR 19): how often the tags wrap past p tells two pairs of one sum apart."""
    key = tag.TagKey.derive(b"k" * 32, 2**20)
    drawn = np.random.default_rng(3)
    wraps = set()
    total = drawn.integers(-(2**19), 2**19, LENGTH)
    for _ in range(20):
        one = drawn.integers(-(2**19), 2**19, LENGTH)
        tags = tag.tag(key, [one]) + tag.tag(key, [total - one])
        wraps.add(tags // tag.P)
        assert tags % tag.P == tag.tag(key, [total])
    assert wraps == {0, 1}
