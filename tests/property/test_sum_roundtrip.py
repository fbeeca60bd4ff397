"""Whatever the institutions, words and lengths: what is opened is the exact sum."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_crypto.sum import packing
from consortia_crypto.sum.coordinator import LatticeCoordinator
from consortia_crypto.sum.institution import LatticeInstitution, new_secret, public_part
from consortia_crypto.sum.policy import SumPolicy

SECRET = new_secret()
PUBLIC = public_part(SECRET)


def policies(longest: int) -> st.SearchStrategy[SumPolicy]:
    rosters = st.integers(3, 8).map(lambda count: tuple(f"bank-{number}" for number in range(count)))
    return st.builds(SumPolicy, st.just("job-1/1"), rosters, st.sampled_from([16, 24, 64]), st.integers(1, longest))


@settings(max_examples=15, deadline=None)
@given(policies(13_000), st.integers(0, 2**32), st.booleans())
def test_opening_gives_the_exact_sum(policy: SumPolicy, seed: int, extremes: bool) -> None:
    rng = np.random.default_rng(seed)
    choices = np.array([-policy.limit, policy.limit])
    values = [
        rng.choice(choices, policy.length)
        if extremes
        else rng.integers(-policy.limit, policy.limit, policy.length, endpoint=True)
        for _ in policy.roster
    ]
    institution = LatticeInstitution(policy, SECRET)
    uploads = {name: institution.seal(values[i], i) for i, name in enumerate(policy.roster)}
    total = LatticeCoordinator(policy, PUBLIC).add(uploads)
    np.testing.assert_array_equal(institution.open(total), sum(values))


@given(policies(100_000), st.integers(0, 2**32))
def test_unpacking_undoes_packing_of_sums(policy: SumPolicy, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = [rng.integers(-policy.limit, policy.limit, policy.length, endpoint=True) for _ in policy.roster]
    slots = sum(packing.pack(policy, value) for value in values)
    np.testing.assert_array_equal(packing.unpack(policy, slots), sum(values))
