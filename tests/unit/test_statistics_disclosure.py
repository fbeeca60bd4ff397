"""Small cells: not shown, not left by subtraction within a table, and not what follows from all margins."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from consortia_node.stats.disclosure import merged_bins, recoded, regrouped, withheld


@pytest.mark.parametrize(
    ("counts", "kept"),
    [
        ([20, 30, 10], [20, 30, 10]),
        ([20, 3, 10], [20, 0, 13]),
        ([20, 3, 0], [0, 0, 23]),
        ([20, 30, 3, 0], [0, 30, 0, 23]),
        ([20, 30, 9], [0, 30, 29]),
        ([4, 3, 5, 50, 0], [0, 0, 0, 50, 12]),
        ([20, 0, 0], [20, 0, 0]),
        ([4, 5], [0, 9]),
        ([0], [0]),
    ],
)
def test_small_categories_are_put_together(counts: list[int], kept: list[int]) -> None:
    rows = np.array(counts)
    assert regrouped(rows, 0, recoded(rows, 10)).tolist() == kept


def test_a_cell_alone_in_its_row_takes_others_with_it() -> None:
    """The small cell, another of its row, and one each of their columns: a margin gives none of them away."""
    counts = np.array([[20, 30, 4], [15, 40, 22], [30, 11, 50]])
    hidden = withheld(counts, 10)
    assert hidden[0, 2]
    assert all(line.sum() != 1 for line in (*hidden, *hidden.T))


def test_nothing_is_withheld_where_nothing_is_small() -> None:
    assert not withheld(np.array([[10, 20], [0, 10]]), 10).any()
    assert not withheld(np.array([10, 0, 30]), 10).any()


tables = arrays.arrays(
    np.int64,
    st.one_of(st.tuples(*[st.integers(2, 5)] * 2), st.tuples(*[st.integers(2, 3)] * 3)),
    elements=st.one_of(st.integers(0, 12), st.integers(10, 60)),
)


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(2, 15))
def test_no_small_cell_and_no_small_margin_follows_from_what_is_shown(counts: np.ndarray, smallest: int) -> None:
    """From the cells shown, and every margin that would be shown by itself."""
    hidden = withheld(counts, smallest)
    assert not (~hidden & (counts > 0) & (counts < smallest)).any()
    places = np.argwhere(hidden)
    if not len(places):
        return
    known, secret = (
        [np.ones(len(places))],
        [np.eye(len(places))[n] for n, p in enumerate(places) if _small(counts, p, smallest)],
    )
    for size in range(1, counts.ndim):
        for kept in combinations(range(counts.ndim), size):
            margin = counts.sum(axis=tuple(axis for axis in range(counts.ndim) if axis not in kept))
            closed = withheld(margin, smallest)
            for cell in product(*(range(length) for length in margin.shape)):
                row = (places[:, list(kept)] == cell).all(axis=1).astype(float)
                if not closed[cell]:
                    known.append(row)
                elif margin[cell] < smallest:
                    secret.append(row)
    rank = np.linalg.matrix_rank(np.array(known))
    if not (hidden == (counts > 0)).all():
        assert all(np.linalg.matrix_rank(np.vstack([known, one])) > rank for one in secret)


def _small(counts: np.ndarray, place: np.ndarray, smallest: int) -> bool:
    return bool(counts[tuple(place)] < smallest)


def test_a_thin_table_of_three_columns_is_not_withheld_as_a_whole() -> None:
    """One small cell alone in a line: the sum of that line is small too, and known to nobody."""
    counts = np.full((3, 3, 3), 40)
    counts[0, 0] = (4, 0, 0)
    hidden = withheld(counts, 10)
    assert hidden[0, 0, 0]
    assert hidden.sum() <= 8


@given(
    st.lists(st.lists(st.integers(0, 40), min_size=8, max_size=8), min_size=1, max_size=2),
    st.integers(1, 30),
)
def test_merged_bins_are_empty_or_large_and_leave_none_out(weights: list[list[int]], smallest: int) -> None:
    counts = [np.array(weight) for weight in weights]
    parts = merged_bins(counts, smallest)
    assert [place for part in parts for place in range(part.start, part.stop)] == list(range(8))
    sums = [[int(count[part].sum()) for count in counts] for part in parts]
    if all(count.sum() >= smallest for count in counts):
        assert all(max(one) == 0 or min(one) >= smallest for one in sums)
    else:
        assert sum(max(one) > 0 for one in sums) <= 1
