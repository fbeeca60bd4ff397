"""PURE: a model as an ONNX file that answers like it, preparation included; see docs/models.md.

Invariant: for every row the file's ``prediction`` is what ``predict`` answers, up to the last digits of doubles.
Inputs are the model's columns by name: doubles (NaN where missing), or texts for columns of categories, where a
text that is none of the categories, such as an empty one, counts as missing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from consortia_client.errors import ClientError
from consortia_client.onnx_graph import Graph
from consortia_common.documents.fitted import (
    ColumnShape,
    EvidenceInput,
    IndicatorInput,
    LinearFit,
    Model,
    NetworkFit,
    NumericInput,
    TreeNode,
    TreesFit,
)
from consortia_common.models.network import Network
from consortia_common.models.predict import LARGEST, PREDICTION

_LEQ, _MEMBER = 0, 6
"""TreeEnsemble's modes of a node."""
_NO_PLACE = -1.0
_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh"}


def to_onnx(model: Model) -> bytes:
    """The file. Raises ClientError for the one name that a column can't have in it."""
    if PREDICTION in model.columns:
        raise ClientError(
            f"the model has a column named {PREDICTION}, which is the name of the answer in an ONNX file",
            blame="the choice of the column's name",
            remedy="train the model on a column of another name, or use `consortia model predict`",
        )
    return _Writer(model).written()


class _Writer:
    """One export."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._graph = Graph()
        self._columns = {name: self._column(name) for name in model.columns}

    def written(self) -> bytes:
        """See ``to_onnx``."""
        origin = self._model.origin
        said = {
            "digest": self._model.hash(),
            "label": self._model.label,
            "purpose": origin.purpose,
            "agreement": origin.agreement,
            "institutions": ", ".join(origin.parties),
        }
        return self._graph.to_bytes(self._answer(), PREDICTION, f"model_of_{self._model.label}", said)

    def _answer(self) -> str:
        margin = self._graph.as_vector(self._margin())
        if self._model.link == "identity":
            return margin
        held = self._clip(margin, -LARGEST, LARGEST)
        return self._graph.add("Sigmoid" if self._model.link == "logit" else "Exp", held)

    def _margin(self) -> str:
        """(rows, 1)."""
        match self._model.fit:
            case LinearFit() as fit:
                weights = np.array([[float(weight)] for weight in fit.weights])
                return self._moved(self._times(self._matrix(), weights), float(fit.intercept))
            case NetworkFit() as fit:
                return self._network(fit)
            case TreesFit() as fit:
                return self._moved(self._trees(fit), float(fit.start))

    def _network(self, fit: NetworkFit) -> str:
        network = Network(fit.sizes, fit.activation)
        layers = list(network.layers(np.array([float(weight) for weight in fit.weights])))
        outputs = self._matrix()
        for matrix, bias in layers[:-1]:
            linear = self._moved(self._times(outputs, matrix), bias)
            outputs = self._graph.add(_ACTIVATIONS[fit.activation], linear)
        matrix, bias = (part * float(fit.spread) for part in layers[-1])
        return self._moved(self._times(outputs, matrix), bias + float(fit.centre))

    def _trees(self, fit: TreesFit) -> str:
        shapes = {each.column: each for each in self._model.shapes}
        columns = []
        for name in fit.columns:
            if name in self._model.categories:
                columns.append(self._graph.add("Cast", self._columns[name], to=TensorProto.DOUBLE))
            else:
                columns.append(self._shaped(shapes.get(name, ColumnShape(column=name))))
        others = {
            place: len(self._model.categories[name])
            for place, name in enumerate(fit.columns)
            if name in self._model.categories
        }
        ensemble = _Ensemble(others, float(fit.learning_rate))
        for tree in fit.trees:
            ensemble.add(tree)
        matrix = self._graph.side_by_side(columns)
        return self._graph.add("TreeEnsemble", matrix, domain="ai.onnx.ml", **ensemble.attributes())

    def _matrix(self) -> str:
        """The prepared inputs; (rows, inputs)."""
        return self._graph.side_by_side([self._input(each) for each in self._model.inputs])

    def _input(self, asked: NumericInput | IndicatorInput | EvidenceInput) -> str:
        graph = self._graph
        match asked:
            case NumericInput():
                shaped = self._shaped(asked)
                less = graph.add("Sub", shaped, graph.constant(float(asked.mean)))
                scaled = graph.add("Div", less, graph.constant(float(asked.scale)))
                return graph.add("Where", graph.add("IsNaN", shaped), graph.constant(0.0), scaled)
            case IndicatorInput():
                place = list(self._model.categories[asked.column]).index(asked.category)
                same = graph.add("Equal", self._columns[asked.column], graph.constant(place))
                return graph.add("Cast", same, to=TensorProto.DOUBLE)
            case EvidenceInput():
                weights = np.array([float(weight) for weight in (*asked.weights, asked.other)])
                return graph.add("Gather", graph.constant(weights), self._columns[asked.column])

    def _column(self, name: str) -> str:
        """Numbers, or places in the list of categories: behind its end for whatever is not in it."""
        if name not in self._model.categories:
            return self._graph.numbers(name)
        categories = [str(category) for category in self._model.categories[name]]
        return self._graph.add(
            "LabelEncoder",
            self._graph.texts(name),
            domain="ai.onnx.ml",
            keys_strings=categories,
            values_int64s=range(len(categories)),
            default_int64=len(categories),
        )

    def _shaped(self, shape: ColumnShape) -> str:
        """Filled, cut, logarithm; what is missing stays missing unless it is filled."""
        graph, column = self._graph, self._columns[shape.column]
        filled = column
        if shape.fill is not None:
            filled = graph.add("Where", graph.add("IsNaN", column), graph.constant(float(shape.fill)), column)
        held = filled
        if (shape.low, shape.high) != (None, None):
            low, high = (None if bound is None else float(bound) for bound in (shape.low, shape.high))
            held = self._clip(filled, low, high)
        if shape.log1p:
            size = graph.add("Log", graph.add("Add", graph.add("Abs", held), graph.constant(1.0)))
            held = graph.add("Mul", graph.add("Sign", held), size)
        return held if held == filled else graph.add("Where", graph.add("IsNaN", filled), filled, held)

    def _clip(self, values: str, low: float | None, high: float | None) -> str:
        bounds = ("" if bound is None else self._graph.constant(bound) for bound in (low, high))
        return self._graph.add("Clip", values, *bounds)

    def _times(self, matrix: str, weights: np.ndarray[Any, Any]) -> str:
        return self._graph.add("MatMul", matrix, self._graph.constant(weights))

    def _moved(self, values: str, by: float | np.ndarray[Any, Any]) -> str:
        return self._graph.add("Add", values, self._graph.constant(by))


@dataclass
class _Ensemble:
    """TreeEnsemble's attributes: inner nodes and leaves of all trees, each numbered from 0."""

    others: Mapping[int, int]
    """By column of categories, the place that stands for whatever is in none."""
    learning_rate: float
    roots: list[int] = field(default_factory=list)
    nodes: list[tuple[int, int, float, bool, tuple[int, bool], tuple[int, bool]]] = field(default_factory=list)
    """Mode, column, threshold, where missing numbers go, and the children: number, and whether it is a leaf."""
    members: list[float] = field(default_factory=list)
    leaves: list[float] = field(default_factory=list)

    def add(self, tree: tuple[TreeNode, ...]) -> None:
        """One more tree; a tree without a split becomes a split between two equal leaves."""
        inner = [place for place, node in enumerate(tree) if node.column is not None]
        number = {place: (len(self.nodes) + count, False) for count, place in enumerate(inner)}
        for place, node in enumerate(tree):
            if node.column is None:
                number[place] = (len(self.leaves), True)
                self.leaves.append(float(node.value) * self.learning_rate)
        self.roots.append(len(self.nodes))
        if not inner:
            self.nodes.append((_LEQ, 0, 0.0, False, number[0], number[0]))
        for place in inner:
            self._add(tree[place], lambda child: number[child])

    def _add(self, node: TreeNode, number: Callable[[int], tuple[int, bool]]) -> None:
        column = node.column or 0
        children = number(node.child), number(node.child + 1)
        if node.among is None:
            upto = float("inf") if node.upto is None else float(node.upto)
            self.nodes.append((_LEQ, column, upto, node.missing_left, *children))
            return
        other = [float(self.others[column])] if node.missing_left else []
        self.members += [*map(float, node.among), *other] or [_NO_PLACE]
        self.members.append(float("nan"))
        self.nodes.append((_MEMBER, column, 0.0, False, *children))

    def attributes(self) -> dict[str, Any]:
        """As the operator wants them."""
        modes, columns, thresholds, missing, left, right = zip(*self.nodes, strict=True)
        members = {"membership_values": _tensor(self.members)} if self.members else {}
        return members | {
            "tree_roots": self.roots,
            "nodes_modes": _tensor(modes, np.uint8),
            "nodes_featureids": columns,
            "nodes_splits": _tensor(thresholds),
            "nodes_missing_value_tracks_true": [int(each) for each in missing],
            "nodes_truenodeids": [place for place, _ in left],
            "nodes_trueleafs": [int(leaf) for _, leaf in left],
            "nodes_falsenodeids": [place for place, _ in right],
            "nodes_falseleafs": [int(leaf) for _, leaf in right],
            "leaf_targetids": [0] * len(self.leaves),
            "leaf_weights": _tensor(self.leaves),
            "n_targets": 1,
        }


def _tensor(values: Any, kind: Any = np.float64) -> Any:
    return numpy_helper.from_array(np.array(values, kind))
