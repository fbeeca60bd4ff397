"""PURE: rounds of gradient boosting for a ``train`` job: one level of a tree, or one leaf, a round.

The edges of the bins, the histograms and the splits are the same at every institution because they follow from
opened totals of integers. What a row's margin is only its own institution knows.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_common.documents.fitted import TreesFit
from consortia_common.documents.kinds.train import SPREAD_BINS, Parameters
from consortia_common.documents.learners import BoostedTrees
from consortia_common.models.preparation import stacked
from consortia_node.learning import binning, histograms, spread, state, trees
from consortia_node.learning.binning import Codes, Feature
from consortia_node.learning.boosting import OBJECTIVES, Gradient
from consortia_node.learning.preparing import Prepared, shape_of
from consortia_node.learning.rows import Rows
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

    def contribute(self, values: Mapping[str, bytes], rows: Rows, turn: int) -> Integers:
        """Histograms of this institution's rows for the nodes that this round looks at; zeros if there are none."""
        shape = histograms.Shape(self._asked.slots(turn), len(self._parameters.features), self._asked.bins + 1)
        growing = self._growing(values, turn)
        if growing.done:
            return np.zeros(shape.length, np.int64)
        codes = self._remember("codes", lambda: self._codes(values, rows))
        slots = np.where(self._sampled(turn, len(rows)), trees.wanted(growing, codes), -1)
        return histograms.build(codes, slots, self._gradient(values, rows, codes, turn), shape).ravel()

    def absorb(self, values: state.Values, total: Integers, turn: int) -> None:
        """Grow the tree from histograms that rows can have; keep it when it has grown."""
        totals = total.reshape(self._asked.slots(turn), -1, self._asked.bins + 1, 3)
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
            state.keep(values, _name(tree), {"nodes": [asdict(node) for node in growing.nodes]})

    def finish(self, values: Mapping[str, bytes]) -> tuple[TreesFit, dict[str, object]]:
        """The model."""
        grown = [self._grown(values, tree) for tree in range(self._asked.trees)]
        made = TreesFit.from_value(
            {
                "type": "trees",
                "columns": self._parameters.features,
                "start": repr(rounded(self._start)),
                "learning_rate": str(self._asked.learning_rate),
                "trees": [[self._node(values, node) for node in tree] for tree in grown],
            },
            "the fitted model",
        )
        return made, {"leaves": sum(node.feature == trees.LEAF for tree in grown for node in tree)}

    def _node(self, values: Mapping[str, bytes], node: trees.Node) -> dict[str, object]:
        """As the model's document has it."""
        said: dict[str, object] = {"value": repr(rounded(node.value)), "rows": node.rows}
        if node.feature == trees.LEAF:
            return said
        said |= {"column": node.feature, "child": node.child, "missing_left": node.left[-1]}
        name = self._parameters.features[node.feature]
        if name in self._parameters.categories:
            places = range(len(self._parameters.categories[name]))
            return said | {"among": tuple(place for place in places if node.left[place])}
        edges, last = self._edges(values)[name], sum(node.left[:-1]) - 1
        return said | {"upto": repr(edges[last]) if last < len(edges) else None}

    def _growing(self, values: Mapping[str, bytes], turn: int) -> trees.Growing:
        _, first = self._asked.tree_of(turn)
        return _recall(values) if first else trees.Growing()

    def _grown(self, values: Mapping[str, bytes], tree: int) -> tuple[trees.Node, ...]:
        data, _ = state.recall(values, _name(tree))
        return tuple(_read(node) for node in data["nodes"])

    def _gradient(self, values: Mapping[str, bytes], rows: Rows, codes: Codes, turn: int) -> Gradient:
        """By the margins behind the finished trees, which are remembered from tree to tree."""
        tree, level = self._asked.tree_of(turn)
        held: _Margin = self._remember("margin", lambda: _Margin(np.full(len(rows), self._start)))
        for number in range(held.trees, tree):
            held.margin += float(self._asked.learning_rate) * trees.values(self._grown(values, number), codes)
            held.trees = number + 1
        if level == 0 or held.gradient is None:
            held.gradient = self._objective.gradient(held.margin, rows.label, rows.weight)
        return held.gradient

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
class _Margin:
    """Each row's margin behind so many trees, and the gradient there."""

    margin: Floats
    trees: int = 0
    gradient: Gradient | None = None


def _name(tree: int) -> str:
    return f"trees.{tree:04d}"


def _keep(values: state.Values, growing: trees.Growing) -> None:
    """Keep a tree between rounds."""
    data = {
        "nodes": [asdict(node) for node in growing.nodes],
        "asked": growing.asked,
        "candidates": [
            {"node": one.node, "feature": one.split.feature, "gain": one.split.gain} for one in growing.candidates
        ],
    }
    arrays = {f"parent{place}": histogram for place, histogram in enumerate(growing.parents)}
    for place, one in enumerate(growing.candidates):
        arrays |= {f"histogram{place}": one.histogram, f"left{place}": one.split.left.astype(np.uint8)}
        arrays[f"totals{place}"] = np.stack(one.split.totals)
    state.keep(values, _GROWING, data, **arrays)


def _recall(values: Mapping[str, bytes]) -> trees.Growing:
    data, arrays = state.recall(values, _GROWING)
    candidates = tuple(
        trees.Candidate(
            one["node"],
            Split(
                one["feature"], arrays[f"left{place}"].astype(bool), one["gain"], tuple(arrays[f"totals{place}"])
            ),
            arrays[f"histogram{place}"],
        )
        for place, one in enumerate(data["candidates"])
    )
    asked = tuple((int(smaller), int(larger)) for smaller, larger in data["asked"])
    parents = tuple(arrays[f"parent{place}"] for place in range(len(asked)))
    return trees.Growing(tuple(_read(node) for node in data["nodes"]), asked, parents, candidates)


def _read(node: Mapping[str, object]) -> trees.Node:
    fields = dict(node)
    return trees.Node(**{**fields, "left": tuple(fields["left"]), "bounds": tuple(fields["bounds"])})  # type: ignore[arg-type]
