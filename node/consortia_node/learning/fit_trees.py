"""PURE: rounds of gradient boosting for a ``train`` job: one level of a tree, or one leaf, a round.

The edges of the bins, the histograms and the splits are the same at every institution because they follow from
opened totals of integers. What a row's margin is only its own institution knows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.fitted import TreesFit
from consortia_common.documents.kinds.train import SPREAD_BINS, Parameters
from consortia_common.documents.learners.boosted_trees import BoostedTrees
from consortia_common.documents.stopping import MEASURES
from consortia_common.models.preparation import stacked
from consortia_node.learning import binning, histograms, measuring, spread, state, stopping, trees
from consortia_node.learning.binning import Codes, Feature
from consortia_node.learning.boosting import OBJECTIVES, Gradient
from consortia_node.learning.measuring import Answered, Reading
from consortia_node.learning.preparing import Prepared, shape_of
from consortia_node.learning.rows import Parts, Rows
from consortia_node.learning.splits import Rules, Split
from consortia_node.moments import rounded

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Remember = Callable[[str, Callable[[], Any]], Any]
"""See Work.remember."""
_GROWING, _EDGES = "trees.growing", "trees.edges"
_DIRECTIONS = {"rising": 1, "falling": -1}


class BoostingRounds:
    """The rounds of one fit; see Learning. All it remembers is in ``values``."""

    def __init__(
        self,
        parameters: Parameters,
        asked: BoostedTrees,
        prepared: Prepared,
        institution: str,
        min_cell: int,
        remember: Remember,
    ) -> None:
        self._remember = remember
        self._parameters = parameters
        self._asked = asked
        self._prepared = prepared
        self._institution = institution
        self._objective = OBJECTIVES[asked.objective]
        self._start = self._objective.start(prepared.label.mean)
        self._said = asked.ranks + MEASURES
        self._reading = Reading(asked.ranks, measuring.UNIT, fewest=min_cell, most=prepared.most_rows)
        self._limits = trees.Limits(asked.depth, asked.leaves, 1 if asked.growth == "leaf" else 1 << asked.depth)
        features = parameters.features
        self._rules = Rules(
            l2=float(asked.l2),
            min_gain=float(asked.min_gain),
            min_rows=max(asked.min_rows, min_cell),
            min_hessian=float(asked.min_hessian),
            categorical=frozenset(place for place, name in enumerate(features) if name in parameters.categories),
            monotone={features.index(name): _DIRECTIONS[way] for name, way in asked.monotone.items()},
        )

    def tally(self, rows: Rows) -> Integers:
        """Counts of each numeric column's values in fine bins, from which edges are chosen."""
        parts = [
            spread.counts(shape_of(self._parameters, name).apply(rows.columns[name]), self._prepared.means[name])
            for name in self._parameters.numeric
        ]
        return np.concatenate(parts)

    def agree(self, values: state.Values, total: Integers) -> None:
        """Choose the edges of all bins."""
        tables = total.reshape(-1, SPREAD_BINS)
        edges = {
            name: spread.edges(table, self._prepared.means[name], self._asked.bins)
            for name, table in zip(self._parameters.numeric, tables, strict=True)
        }
        state.keep(values, _EDGES, edges)

    def contribute(self, values: Mapping[str, bytes], parts: Parts, turn: int) -> Integers:
        """The round's histograms; and, before a tree grows, how those before it do."""
        tree, level = self._asked.tree_of(turn)
        said = self._measures(values, parts, tree) if level == 0 else np.zeros(self._said, np.int64)
        return np.concatenate([self._histograms(values, parts.learned, turn), said])

    def _histograms(self, values: Mapping[str, bytes], rows: Rows, turn: int) -> Integers:
        """Of this institution's rows for the nodes that this round looks at, flat; zeros if there are none."""
        shape = histograms.Shape(self._asked.slots(turn), len(self._parameters.features), self._asked.bins + 1)
        growing = self._growing(values, turn)
        tree, level = self._asked.tree_of(turn)
        if growing.done or tree == self._asked.trees:
            return np.zeros(shape.length, np.int64)
        grown = self._grown_on(values, "learned", rows, tree)
        if level == 0 or grown.gradient is None:
            grown.gradient = self._objective.gradient(grown.margin, rows.label, rows.weight)
        wanted = trees.wanted(growing, grown.leaves(tree, growing.nodes))
        slots = np.where(self._sampled(turn, len(rows)), wanted, -1)
        return histograms.build(grown.codes, slots, grown.gradient, shape).ravel()

    def absorb(self, values: state.Values, total: Integers, turn: int) -> None:
        """See how the trees before do; grow the tree from histograms that rows can have, and keep it once grown."""
        tree, level = self._asked.tree_of(turn)
        if level == 0:
            stopping.note(values, tree, measuring.read(total, self._reading), self._asked.early_stopping)
        if tree == self._asked.trees:
            return
        totals = total[: -self._said].reshape(self._asked.slots(turn), -1, self._asked.bins + 1, 3)
        histograms.require_possible(totals, self._prepared.most_rows)
        growing = self._growing(values, turn)
        if trees.parted(growing, totals):
            growing = trees.Growing(growing.nodes)
        self._grow(values, growing, totals, turn)

    def _grow(self, values: state.Values, growing: trees.Growing, totals: Integers, turn: int) -> None:
        tree, _ = self._asked.tree_of(turn)
        if not growing.done:
            growing = trees.grow(growing, totals, self._rules, self._limits, self._allowed(tree))
            _keep(values, growing)
        if self._asked.tree_of(turn + 1)[0] != tree:
            state.keep(values, _name(tree), {}, **trees.packed(growing.nodes))

    def is_over(self, values: Mapping[str, bytes]) -> bool:
        """By the spec's rule."""
        return stopping.is_over(stopping.curve(values), self._asked.early_stopping)

    def finish(self, values: Mapping[str, bytes]) -> tuple[TreesFit, dict[str, object]]:
        """The model: the trees up to the best one if rows were held out, else all."""
        points, rule = stopping.curve(values), self._asked.early_stopping
        kept = stopping.best(points, rule) if rule else self._asked.trees
        grown, edges = [self._grown(values, tree) for tree in range(kept)], self._edges(values)
        made = TreesFit.from_value(
            {
                "type": "trees",
                "columns": self._parameters.features,
                "start": repr(rounded(self._start)),
                "learning_rate": str(self._asked.learning_rate),
                "trees": [[self._node(edges, node) for node in tree] for tree in grown],
            },
            "the fitted model",
        )
        leaves = sum(node.feature == trees.LEAF for tree in grown for node in tree)
        return made, {"trees": kept, "leaves": leaves, "curve": stopping.told(points)}

    def _node(self, agreed: Mapping[str, tuple[float, ...]], node: trees.Node) -> dict[str, object]:
        """As the model's document has it."""
        said: dict[str, object] = {"value": repr(rounded(node.value)), "rows": node.rows}
        if node.feature == trees.LEAF:
            return said
        said |= {"column": node.feature, "child": node.child, "missing_left": bool(node.left[-1])}
        name = self._parameters.features[node.feature]
        if name in self._parameters.categories:
            places = range(len(self._parameters.categories[name]))
            return said | {"among": tuple(place for place in places if node.left[place])}
        edges, last = agreed[name], sum(node.left[:-1]) - 1
        return said | {"upto": repr(edges[last]) if last < len(edges) else None}

    def _growing(self, values: Mapping[str, bytes], turn: int) -> trees.Growing:
        _, first = self._asked.tree_of(turn)
        return _recall(values) if first else trees.Growing()

    def _grown(self, values: Mapping[str, bytes], tree: int) -> tuple[trees.Node, ...]:
        _, arrays = state.recall(values, _name(tree))
        return trees.unpacked(arrays)

    def _grown_on(self, values: Mapping[str, bytes], part: str, rows: Rows, tree: int) -> "_Grown":
        """The rows' bins, and their margins behind the trees before ``tree``; remembered from tree to tree."""
        found: _Grown = self._remember(
            f"bins and margins of rows {part}",
            lambda: _Grown(self._codes(values, rows), np.full(len(rows), self._start)),
        )
        for number in range(found.done, tree):
            rate, nodes = float(self._asked.learning_rate), self._grown(values, number)
            found.margin += rate * trees.values(nodes, found.leaves(number, nodes))
            found.done = number + 1
        return found

    def _measures(self, values: Mapping[str, bytes], parts: Parts, tree: int) -> Integers:
        """How the trees before ``tree`` do on this institution's rows."""
        centre, spread = self._label_scale
        learned, held_out = (
            Answered(
                (self._grown_on(values, part, rows, tree).margin - centre) / spread,
                (rows.label - centre) / spread,
                rows.weight,
            )
            for part, rows in (("learned", parts.learned), ("held out", parts.held_out))
        )
        return measuring.words(measuring.measures(self._asked.objective, learned, held_out, self._asked.ranks))

    @property
    def _label_scale(self) -> tuple[float, float]:
        """In which a squared error is measured; others as they are."""
        label = self._prepared.label
        return (label.mean, label.deviation or 1.0) if self._asked.objective == "squared" else (0.0, 1.0)

    def _codes(self, values: Mapping[str, bytes], rows: Rows) -> Codes:
        edges = self._edges(values)
        features = [
            Feature(categories=True) if name in self._parameters.categories else Feature(edges[name])
            for name in self._parameters.features
        ]
        shaped = {
            name: column if name in self._parameters.categories else shape_of(self._parameters, name).apply(column)
            for name, column in rows.columns.items()
        }
        return binning.encode(stacked(shaped, self._parameters.features), features, self._asked.bins)

    def _edges(self, values: Mapping[str, bytes]) -> dict[str, tuple[float, ...]]:
        if _EDGES not in values:
            return {}
        data, _ = state.recall(values, _EDGES)
        return {name: tuple(edges) for name, edges in data.items()}

    def _sampled(self, turn: int, rows: int) -> NDArray[np.bool_]:
        """The rows of this institution that count for the tree of this round."""
        tree, _ = self._asked.tree_of(turn)
        seed = [self._asked.seed, tree, int.from_bytes(self._institution.encode(), "big")]
        return np.random.Generator(np.random.PCG64(seed)).random(rows) < float(self._asked.subsample)

    def _allowed(self, tree: int) -> NDArray[np.bool_]:
        """The features that a tree may split on; the same everywhere."""
        features = len(self._parameters.features)
        wanted = max(1, round(float(self._asked.feature_share) * features))
        chance = np.random.Generator(np.random.PCG64([self._asked.seed, tree]))
        allowed = np.zeros(features, bool)
        allowed[chance.permutation(features)[:wanted]] = True
        return allowed


@dataclass
class _Grown:
    """Each row's bins, its margin behind so many trees, and the gradient there."""

    codes: Codes
    margin: Floats
    done: int = 0
    gradient: Gradient | None = None
    place: tuple[int, Integers] | None = None
    """The tree that was looked at last, and the node of each row in it."""

    def leaves(self, tree: int, nodes: tuple[trees.Node, ...]) -> Integers:
        """The leaf of each row in a tree that only grows; where they were last time is remembered."""
        known = self.place is not None and self.place[0] == tree
        place = self.place[1] if self.place and known else np.zeros(len(self.codes), np.int64)
        if nodes:
            place = trees.route(nodes, self.codes, place)
        self.place = tree, place
        return place


def _name(tree: int) -> str:
    return f"trees.{tree:04d}"


def _keep(values: state.Values, growing: trees.Growing) -> None:
    """Keep a tree between rounds."""
    data = {
        "asked": growing.asked,
        "candidates": [
            {"node": one.node, "feature": one.split.feature, "gain": one.split.gain} for one in growing.candidates
        ],
    }
    arrays = trees.packed(growing.nodes)
    arrays |= {f"parent{place}": histogram for place, histogram in enumerate(growing.parents)}
    for place, one in enumerate(growing.candidates):
        arrays |= {f"histogram{place}": one.histogram, f"split{place}": one.split.left.astype(np.uint8)}
        arrays[f"totals{place}"] = np.stack(one.split.totals)
    state.keep(values, _GROWING, data, **arrays)


def _recall(values: Mapping[str, bytes]) -> trees.Growing:
    data, arrays = state.recall(values, _GROWING)
    candidates = tuple(
        trees.Candidate(
            one["node"],
            Split(
                one["feature"], arrays[f"split{place}"].astype(bool), one["gain"], tuple(arrays[f"totals{place}"])
            ),
            arrays[f"histogram{place}"],
        )
        for place, one in enumerate(data["candidates"])
    )
    asked = tuple((int(smaller), int(larger)) for smaller, larger in data["asked"])
    parents = tuple(arrays[f"parent{place}"] for place in range(len(asked)))
    return trees.Growing(trees.unpacked(arrays), asked, parents, candidates)
