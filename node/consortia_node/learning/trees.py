"""PURE: one tree, grown level by level or leaf by leaf from opened histograms; the same at every institution.

``Growing`` is the state between two rounds: the tree so far and the nodes whose histograms come next. ``grow``
takes a round's totals and gives the next state. Nothing here depends on whose rows were summed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_node.learning.binning import Codes
from consortia_node.learning.histograms import ROWS, siblings
from consortia_node.learning.splits import Rules, Split, best, value

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
_FREE = (-1e300, 1e300)
"""No bounds, in numbers that JSON can say."""
LEAF = -1
_FIELDS: Mapping[str, type] = {
    "value": np.float64,
    "rows": np.int64,
    "bounds": np.float64,
    "feature": np.int64,
    "gain": np.float64,
    "child": np.int64,
    "depth": np.int64,
}
"""Of a node, in the order in which it is made, but for ``left``."""


@dataclass(frozen=True)
class Node:
    """A leaf while ``feature`` is LEAF; else rows in ``left`` go to node ``child``, the others to ``child`` + 1."""

    value: float
    rows: int
    bounds: tuple[float, float] = _FREE
    feature: int = LEAF
    left: bytes = b""
    """For each bin whether its rows go left: 1 or 0."""
    gain: float = 0.0
    child: int = 0
    depth: int = 0


@dataclass(frozen=True)
class Limits:
    """How large a tree may grow. At most ``slots`` nodes are split in a round: all of a level, or the best few."""

    depth: int = 6
    leaves: int = 64
    slots: int = 64


@dataclass(frozen=True)
class Candidate:
    """A leaf that could be split, and how."""

    node: int
    split: Split
    histogram: Integers


@dataclass(frozen=True)
class Growing:
    """A tree between rounds. ``asked``: (smaller, larger) child of each node split last, whose sums come next."""

    nodes: tuple[Node, ...] = ()
    asked: tuple[tuple[int, int], ...] = ()
    parents: tuple[Integers, ...] = ()
    candidates: tuple[Candidate, ...] = field(default=())

    @property
    def done(self) -> bool:
        """Whether no further round is needed."""
        return bool(self.nodes) and not self.asked


def packed(nodes: tuple[Node, ...]) -> dict[str, NDArray[Any]]:
    """The nodes as an array a field, which are kept and read back far faster than text."""
    columns: dict[str, NDArray[Any]] = {
        name: np.array([getattr(node, name) for node in nodes], kind) for name, kind in _FIELDS.items()
    }
    bins = max((len(node.left) for node in nodes), default=0)
    left = b"".join(node.left or bytes(bins) for node in nodes)
    return columns | {"left": np.frombuffer(left, np.uint8).reshape(len(nodes), bins)}


def unpacked(arrays: Mapping[str, NDArray[Any]]) -> tuple[Node, ...]:
    """The inverse of ``packed``."""
    rows = zip(*(arrays[name].tolist() for name in _FIELDS), arrays["left"], strict=True)
    return tuple(
        Node(value, count, tuple(bounds), feature, left.tobytes() if feature != LEAF else b"", gain, child, depth)
        for value, count, bounds, feature, gain, child, depth, left in rows
    )


def wanted(growing: Growing, place: Integers) -> Integers:
    """The slot of this round's histograms that each row counts in, by the leaf where it is; −1 for none."""
    if not growing.nodes:
        return np.zeros(len(place), np.int64)
    slot = np.full(len(growing.nodes), -1, np.int64)
    for number, (smaller, _) in enumerate(growing.asked):
        slot[smaller] = number
    return np.asarray(slot[place])


def parted(growing: Growing, totals: Integers) -> bool:
    """Whether rows came or went since the nodes were split: parents less smaller halves would say nothing."""
    return any(
        int(totals[place, 0, :, ROWS].sum()) != growing.nodes[smaller].rows
        for place, (smaller, _) in enumerate(growing.asked)
    )


def grow(growing: Growing, totals: Integers, rules: Rules, limits: Limits, allowed: NDArray[np.bool_]) -> Growing:
    """The next state, from this round's totals (slots, features, bins, 3)."""
    if not growing.nodes:
        root = totals[0]
        whole = root[0].sum(axis=0)
        nodes: tuple[Node, ...] = (Node(value(whole, rules.l2), int(whole[ROWS])),)
        fresh = [(0, root)]
    else:
        nodes = growing.nodes
        fresh = []
        for place, (smaller, larger) in enumerate(growing.asked):
            fresh += [(smaller, totals[place]), (larger, siblings(growing.parents[place], totals[place]))]
    fresh.sort(key=lambda one: one[0])
    found = [*growing.candidates, *_candidates(nodes, fresh, rules, limits, allowed)]
    return _split(nodes, found, limits, rules)


def route(nodes: tuple[Node, ...], codes: Codes, place: Integers) -> Integers:
    """The leaf of each row, from the node where it is; (rows,)."""
    arrays = packed(nodes)
    feature, child, left = arrays["feature"], arrays["child"], arrays["left"]
    found, inner = place.copy(), np.flatnonzero(feature[place] != LEAF)
    while len(inner):
        at = found[inner]
        goes_left = left[at, codes[inner, feature[at]]]
        found[inner] = child[at] + (goes_left == 0)
        inner = inner[feature[found[inner]] != LEAF]
    return found


def values(nodes: tuple[Node, ...], place: Integers) -> Floats:
    """What the tree gives each row, of which the leaf is known, learning rate 1; (rows,)."""
    return np.asarray(np.array([node.value for node in nodes])[place])


def _candidates(
    nodes: tuple[Node, ...],
    fresh: list[tuple[int, Integers]],
    rules: Rules,
    limits: Limits,
    allowed: NDArray[np.bool_],
) -> list[Candidate]:
    """The leaves among the fresh ones that may be split."""
    open_ = [(node, histogram) for node, histogram in fresh if nodes[node].depth < limits.depth]
    if not open_:
        return []
    bounds = [nodes[node].bounds for node, _ in open_]
    splits = best(np.stack([histogram for _, histogram in open_]), rules, allowed, bounds)
    return [
        Candidate(node, split, histogram) for (node, histogram), split in zip(open_, splits, strict=True) if split
    ]


def _split(nodes: tuple[Node, ...], found: list[Candidate], limits: Limits, rules: Rules) -> Growing:
    """Split the candidates with the largest gains, as many as the limits allow."""
    leaves = sum(node.feature == LEAF for node in nodes)
    room = min(limits.slots, limits.leaves - leaves)
    ranked = sorted(found, key=lambda one: (-one.split.gain, one.node))
    chosen = sorted(ranked[: max(room, 0)], key=lambda one: one.node)
    grown = list(nodes)
    asked = []
    for candidate in chosen:
        asked.append(_divide(grown, candidate, rules))
    left = tuple(ranked[max(room, 0) :]) if room > 0 else ()
    deeper = [pair for pair in asked if grown[pair[0]].depth < limits.depth]
    if not deeper or limits.leaves - leaves <= len(chosen):
        return Growing(tuple(grown))
    parents = tuple(candidate.histogram for candidate, pair in zip(chosen, asked, strict=True) if pair in deeper)
    return Growing(tuple(grown), tuple(deeper), parents, left)


def _divide(nodes: list[Node], candidate: Candidate, rules: Rules) -> tuple[int, int]:
    """Split the node; its children as (smaller, larger)."""
    node, split, child = nodes[candidate.node], candidate.split, len(nodes)
    halves = _bounds(node, split, rules)
    nodes[candidate.node] = replace(
        node, feature=split.feature, left=split.left.tobytes(), gain=split.gain, child=child
    )
    for part, bounds in zip(split.totals, halves, strict=True):
        held = float(np.clip(value(part, rules.l2), *bounds))
        nodes.append(Node(held, int(part[ROWS]), bounds, depth=node.depth + 1))
    rows = [int(part[ROWS]) for part in split.totals]
    return (child, child + 1) if rows[0] <= rows[1] else (child + 1, child)


def _bounds(node: Node, split: Split, rules: Rules) -> tuple[tuple[float, float], tuple[float, float]]:
    """What the children's values must stay within, so that later splits keep a monotone feature monotone."""
    direction = rules.monotone.get(split.feature, 0)
    if not direction:
        return node.bounds, node.bounds
    middle = sum(float(np.clip(value(part, rules.l2), *node.bounds)) for part in split.totals) / 2
    low, high = (node.bounds[0], middle), (middle, node.bounds[1])
    return (low, high) if direction > 0 else (high, low)
