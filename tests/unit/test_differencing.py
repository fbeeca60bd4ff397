"""Differencing: sequences of allowed-looking cohorts that would single somebody out, and others that would not."""

import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_node import differencing
from consortia_node.differencing import Held, Ids

MIN_CELL = 10


def ids(*ranges: range) -> Ids:
    return np.array(sorted({number for some in ranges for number in some}), np.int64)


def held(name: str, *ranges: range, erased: int = 0) -> Held:
    return Held(name, ids(*ranges), sum(map(len, ranges)) + erased, erased)


def exposed_by(new: Ids, earlier: Sequence[Held], min_cell: int) -> tuple[str, ...]:
    """One row a customer."""
    return differencing.exposed_by(new, new.size, earlier, min_cell)


EVERYBODY = range(1000)


def test_the_same_customers_again_are_no_difference() -> None:
    assert exposed_by(ids(EVERYBODY), [held("job-1", EVERYBODY)], MIN_CELL) == ()
    assert exposed_by(ids(EVERYBODY), [], MIN_CELL) == ()


@pytest.mark.parametrize(("left", "exposed"), [(1, True), (9, True), (10, False), (500, False)])
def test_two_cohorts_that_differ_by_a_few(left: int, exposed: bool) -> None:
    fewer, more = range(1000 - left), EVERYBODY
    for new, before in ((fewer, more), (more, fewer)):
        assert exposed_by(ids(new), [held("job-1", before)], MIN_CELL) == (("job-1",) if exposed else ())


def test_one_who_goes_while_another_comes_is_still_a_difference() -> None:
    assert exposed_by(ids(range(5, 1005)), [held("job-1", range(1001))], MIN_CELL) == ("job-1",)
    assert exposed_by(ids(range(5, 1005)), [held("job-1", EVERYBODY)], MIN_CELL) == ()


def test_of_several_earlier_jobs_the_colliding_one_is_named() -> None:
    earlier = [held("job-1", range(500)), held("job-2", range(1, 1000)), held("job-3", range(300))]
    assert exposed_by(ids(EVERYBODY), earlier, MIN_CELL) == ("job-2",)


def test_a_whole_and_both_its_halves_but_for_one() -> None:
    """Each pair differs by hundreds; whole − half − other half is one customer."""
    earlier = [held("whole", EVERYBODY), held("half", range(500))]
    assert exposed_by(ids(range(500, 999)), earlier, MIN_CELL) == ("whole", "half")
    assert exposed_by(ids(range(500, 1000)), earlier, MIN_CELL) == ()
    assert exposed_by(ids(range(500, 980)), earlier, MIN_CELL) == ()


def test_a_tracker() -> None:
    """What may not be asked of one customer alone is asked of many with, and without, in four pieces."""
    blocks = [range(300), range(300, 600), range(600, 900)]
    victim = range(900, 901)
    earlier = [held(f"block-{place}", block) for place, block in enumerate(blocks)]
    assert set(exposed_by(ids(*blocks, victim), earlier, MIN_CELL)) == {"block-0", "block-1", "block-2"}
    assert exposed_by(ids(*blocks, range(900, 920)), earlier, MIN_CELL) == ()


def test_a_weighted_sum_that_cancels() -> None:
    """(1+2) + (2+3) − (1+3) is twice part 2: no more than a part; but with one customer more it shows that one."""
    one, two, three = range(100), range(100, 200), range(200, 300)
    earlier = [held("12", one, two), held("23", two, three), held("2", two)]
    assert exposed_by(ids(one, three), earlier, MIN_CELL) == ()
    assert set(exposed_by(ids(one, three, range(900, 901)), earlier, MIN_CELL)) == {"12", "23", "2"}


def test_customers_who_were_erased_meanwhile_are_a_difference() -> None:
    present = range(1, 1000)
    assert exposed_by(ids(present), [held("job-1", present, erased=1)], MIN_CELL) == ("job-1",)
    assert exposed_by(ids(present), [held("job-1", present, erased=10)], MIN_CELL) == ()
    pieces = [held("whole", present, erased=1), held("half", range(1, 500))]
    assert set(exposed_by(ids(range(500, 1000)), pieces, MIN_CELL)) == {"whole", "half"}


@pytest.mark.parametrize(
    ("rows", "exposed"), [(1000, False), (1001, True), (991, True), (990, False), (2000, False)]
)
def test_the_same_customers_with_a_few_rows_more_or_less(rows: int, exposed: bool) -> None:
    found = differencing.exposed_by(ids(EVERYBODY), rows, [held("job-1", EVERYBODY)], MIN_CELL)
    assert found == (("job-1",) if exposed else ())


def test_a_year_of_months_with_many_coming_and_going_goes_on() -> None:
    months = [held(f"month-{month}", range(15 * month, 5000 + 20 * month)) for month in range(12)]
    for month in range(1, 12):
        assert exposed_by(months[month].ids, months[:month], MIN_CELL) == ()
    withdrawn = np.delete(months[11].ids, 7)
    assert exposed_by(withdrawn, months, MIN_CELL) == ("month-11",)


@pytest.mark.slow
def test_a_million_customers_take_seconds() -> None:
    generator = np.random.default_rng(1)
    everybody = np.unique(generator.integers(0, 1 << 62, 1_000_000))
    pieces = [np.delete(everybody, slice(place * 50, place * 50 + 50)) for place in range(3)]
    earlier = [Held(f"job-{place}", piece, piece.size) for place, piece in enumerate(pieces)]
    begun = time.perf_counter()
    assert exposed_by(everybody, earlier, MIN_CELL) == ()
    assert time.perf_counter() - begun < 20


@settings(max_examples=300)
@given(st.lists(st.frozensets(st.integers(0, 5), min_size=1), min_size=2, max_size=4, unique=True))
def test_what_a_brute_search_over_small_weights_finds_is_found(parts: list[frozenset[int]]) -> None:
    """Six blocks of 20 customers, of which block 0 is one customer: who can get it alone, and could not before?"""
    blocks = [range(1), *(range(20 * place, 20 * place + 20) for place in range(1, 6))]
    *earlier, new = [held(f"job-{place}", *(blocks[block] for block in part)) for place, part in enumerate(parts)]
    indicator = np.array([[block in part for block in range(6)] for part in parts], np.int64)
    weights = np.array(np.meshgrid(*[range(-2, 3)] * len(parts))).reshape(len(parts), -1).T
    sums = weights @ indicator
    alone = (sums[:, 0] != 0) & (sums[:, 1:] == 0).all(axis=1)
    known_before = alone[(weights[:, -1] == 0) | ~weights[:, :-1].any(axis=1)].any()
    if alone.any() and not known_before:
        assert exposed_by(new.ids, earlier, MIN_CELL)
