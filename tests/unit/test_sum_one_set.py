"""At most one sum is ever opened in a round: every way of showing lists and sets to the institutions, as a model.

The model is docs/adr/0065: of the institutions that don't collude each is shown one list, and reveals at once for
all of it, or signs one smaller set, or says nothing. Those that collude are on every list, sign everything and give
all their shares, so that a secret is open to whoever has the shares of ``enough`` others.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product

import pytest

Names = frozenset[int]
List = tuple[Names, int]
"""Those who are on it that don't collude, and which of several lists of the same names it is (another ctx)."""
Choice = tuple[List, Names] | None
"""What one institution was shown: its list, and the set that was proposed to it."""
CONTEXTS = 2


def subsets(names: Iterable[int], least: int) -> list[Names]:
    """Those of at least so many."""
    ordered = sorted(names)
    return [frozenset(each) for size in range(least, len(ordered) + 1) for each in combinations(ordered, size)]


def choices(me: int, honest: int, enough: int) -> list[Choice]:
    lists = [(names, ctx) for names in subsets(range(honest), enough) for ctx in range(CONTEXTS) if me in names]
    return [None, *((one, chosen) for one in lists for chosen in subsets(one[0], enough) if me in chosen)]


def opened(world: Sequence[Choice], enough: int) -> tuple[set[int], set[int]]:
    """Whose self mask is open, and whose pair masks are."""
    certified = Counter(choice for choice in world if choice is not None)
    own: Counter[int] = Counter()
    pair: Counter[int] = Counter()
    for choice in world:
        if choice is None:
            continue
        (names, _), chosen = choice
        if chosen == names or certified[choice] >= enough:
            own.update(chosen)
            pair.update(names - chosen)
    return {who for who in own if own[who] >= enough}, {who for who in pair if pair[who] >= enough}


def sums(world: Sequence[Choice], own: set[int], pair: set[int]) -> Iterator[Names]:
    """The sums that can be read: all pair masks between their uploads cancel, and those with others are open."""
    for one in {choice[0] for choice in world if choice is not None}:
        needed = frozenset(one[0] - pair)
        shown = [world[who] for who in needed]
        if needed and needed <= own and all(choice is not None and choice[0] == one for choice in shown):
            yield needed


@pytest.mark.parametrize("honest", [2, 3, 4])
def test_one_sum_over_enough_or_none_and_never_both_secrets_of_one(honest: int) -> None:
    enough = honest // 2 + 1  # t − k, since 2t > N + k
    readable = 0
    for world in product(*(choices(me, honest, enough) for me in range(honest))):
        own, pair = opened(world, enough)
        found = set(sums(world, own, pair))
        readable += bool(found)
        assert not [who for who in own & pair if world[who] is not None]
        assert len(found) <= 1
        assert all(len(each) >= enough for each in found)
    assert readable > 0
