"""PURE: an ONNX graph while it is drawn up: operators and constants with names that no column can have.

Everything is computed in doubles, as the project itself does. Needs the extra ``onnx``, which whoever exports has
loaded; operators after https://onnx.ai/onnx/operators/.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSETS = {"": 21, "ai.onnx.ml": 5}
"""The first with trees in doubles."""
_IR_VERSION = 10
ROWS = "rows"
"""The name of the dimension that is not fixed."""


class Graph:
    """Operators are added in the order in which they are computed; a tensor is known by its name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []

    def numbers(self, name: str) -> str:
        """An input of doubles, missing ones NaN; (rows,)."""
        return self._input(name, TensorProto.DOUBLE)

    def texts(self, name: str) -> str:
        """An input of texts; (rows,)."""
        return self._input(name, TensorProto.STRING)

    def constant(self, value: float | Sequence[int] | NDArray[Any]) -> str:
        """Of doubles or of whole numbers, as ``value`` is."""
        array = np.asarray(value)
        name = f"/constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """The tensor that ``operator`` makes of ``inputs``; "" is one that is left out."""
        name = f"/{operator}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], domain=domain, **attributes))
        return name

    def side_by_side(self, vectors: Sequence[str]) -> str:
        """A matrix of these columns; (rows, vectors)."""
        behind = self.constant([1])
        return self.add("Concat", *(self.add("Unsqueeze", vector, behind) for vector in vectors), axis=1)

    def as_vector(self, matrix: str) -> str:
        """The only column of ``matrix``."""
        return self.add("Squeeze", matrix, self.constant([1]))

    def to_bytes(self, answer: str, output: str, name: str, said: dict[str, str]) -> bytes:
        """The file of a model that gives ``answer`` as ``output``, with ``said`` as metadata."""
        self._nodes.append(helper.make_node("Identity", [answer], [output]))
        outputs = [helper.make_tensor_value_info(output, TensorProto.DOUBLE, [ROWS])]
        graph = helper.make_graph(self._nodes, name, self._inputs, outputs, self._constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="consortia")
        helper.set_model_props(model, said)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _input(self, name: str, kind: int) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, [ROWS]))
        return name
