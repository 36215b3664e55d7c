"""What an ONNX graph says of its values: shapes, types, which are parameters; and of its nodes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dse.domain.problem import Precision, Weights
from dse.errors import SpecError

#: Bits of an element, by the number of its type in ONNX.
_BITS = {
    **{1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 10: 16, 11: 64, 12: 32, 13: 64, 16: 16},
    **{17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2},
}
_FLOAT, _FLOAT_BITS = 1, 32
#: Operators behind which a parameter is still the same one.
_RESHAPES = frozenset(
    [
        *("Transpose", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Expand", "Identity"),
        *("Cast", "DequantizeLinear", "QuantizeLinear", "ReorderInput"),
    ]
)
#: Operators that make other parameters of parameters.
_PARTS = frozenset(["Concat", "Slice", "Split", "Gather"])
#: Operators between a layer and the quantization of its results.
_BEFORE_QUANTIZATION = frozenset(["Relu", "Clip", "Add", "BiasAdd", *_RESHAPES])
_QUANTIZED = frozenset(["QuantizeLinear", "DynamicQuantizeLinear"])


@dataclass(frozen=True)
class GraphNode:
    """An operation of a graph.

    Attributes:
        proto: as it is in the file.
        label: the path of the module that it comes from, or its own name.
    """

    proto: Any
    label: str

    @property
    def kind(self) -> str:
        """Its operator."""
        return str(self.proto.op_type)

    @cached_property
    def inputs(self) -> list[str]:
        """Names of its operands; empty text: left out."""
        return list(self.proto.input)

    def input(self, index: int) -> str:
        """Return the name of an operand; empty where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def integer(self, key: str, default: int) -> int:
        """Return an attribute."""
        found = self._attribute(key)
        return default if found is None else int(found.i)

    def integers(self, key: str, default: list[int]) -> list[int]:
        """Return an attribute that is a list."""
        found = self._attribute(key)
        return default if found is None else [int(n) for n in found.ints]

    def text(self, key: str) -> str:
        """Return an attribute that is a text; empty where there is none."""
        found = self._attribute(key)
        return "" if found is None else bytes(found.s).decode(errors="replace")

    def _attribute(self, key: str) -> Any:  # noqa: ANN401 - of onnx, which has no types
        return next((a for a in self.proto.attribute if a.name == key), None)


class Graph:
    """One graph, its shapes inferred.

    Args:
        model: an ONNX model.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        graph = model.graph
        self.nodes = [GraphNode(proto, _label(proto, i)) for i, proto in enumerate(graph.node)]
        self._shapes: dict[str, list[int | None]] = {}
        self._types: dict[str, int] = {}
        for tensor in graph.initializer:
            self._shapes[tensor.name] = list(tensor.dims)
            self._types[tensor.name] = tensor.data_type
        for value in (*graph.input, *graph.value_info, *graph.output):
            if not value.type.HasField("tensor_type"):
                continue
            self._types.setdefault(value.name, value.type.tensor_type.elem_type)
            if value.type.tensor_type.HasField("shape"):
                dims = value.type.tensor_type.shape.dim
                known = [d.dim_value if d.HasField("dim_value") else None for d in dims]
                self._shapes.setdefault(value.name, known)
        self._made_by = {out: node for node in self.nodes for out in node.proto.output}
        self._read_by: dict[str, list[GraphNode]] = {}
        for node in self.nodes:
            for name in node.inputs:
                self._read_by.setdefault(name, []).append(node)
        self._parameters = {tensor.name for tensor in graph.initializer}
        self._used: set[str] = set()

    def learn(self, node: GraphNode, shape: list[int]) -> tuple[str, int, list[int]] | None:
        """Take up the shape of a node's first result.

        Returns:
            Name, type of the elements and shape of the result; None where it was known before.
        """
        name = node.proto.output[0]
        if None not in self._shapes.get(name, [None]):
            return None
        self._shapes[name] = list(shape)
        kind = self._types.setdefault(name, self._types.get(node.input(0)) or _FLOAT)
        return name, kind, shape

    def knows(self, value: str) -> bool:
        """Whether the whole shape of a value is known."""
        return None not in self._shapes.get(value, [None])

    def shape(self, value: str) -> list[int]:
        """Return the shape of a value; SpecError where it is not known."""
        shape = self._shapes.get(value)
        if shape is None:
            raise SpecError(f"the shape of '{value}' is not known")
        known = [n for n in shape if n is not None]
        if len(known) < len(shape):
            told = ", ".join("?" if n is None else str(n) for n in shape)
            raise SpecError(f"the shape of '{value}' is not known: [{told}]")
        return known

    def is_parameter(self, value: str) -> bool:
        """Whether a value is a parameter, or a reshaped form of one."""
        return self._source(value) is not None

    def weights(self, value: str) -> Weights:
        """Return whose the words of an operand are; a parameter is its first user's own."""
        source = self._source(value)
        if source is None:
            return "none"
        if source in self._used:
            return "shared"
        self._used.add(source)
        return "own"

    def precision(
        self, inputs: str, weights: str, output: str, bits: int | None = None
    ) -> Precision:
        """Return the bits of an operation's tensors, where some are not plain 32.

        Args:
            inputs: name of the first operand.
            weights: of the second one.
            output: of the result.
            bits: of the second operand, where its elements' type does not say.
        """
        found = {
            "Weights": bits or self._bits(weights),
            "Inputs": self._bits(inputs),
            "Outputs": self._bits_after(output),
        }
        if all(n in (None, _FLOAT_BITS) for n in found.values()):
            return ()
        return tuple((name, n) for name, n in found.items() if n is not None)

    def _source(self, value: str) -> str | None:
        """Return the parameter that a value is a reshaped form of, or a part or a join of some."""
        while True:
            if value in self._parameters:
                return value
            node = self._made_by.get(value)
            if node is None:
                return None
            if node.kind == "Constant":
                return value
            if node.kind in _PARTS:
                operands = node.inputs if node.kind == "Concat" else node.inputs[:1]
                return value if all(self._source(x) is not None for x in operands) else None
            if node.kind not in _RESHAPES or not node.input(0):
                return None
            value = node.input(0)

    def _bits(self, value: str) -> int | None:
        """Return the bits of an operand; of one that was quantized before, those that it had."""
        while True:
            node = self._made_by.get(value)
            if node is None or node.kind not in _RESHAPES or node.kind == "Cast":
                return _BITS.get(self._types.get(value, 0))
            value = node.input(0)
            if node.kind == "DequantizeLinear":
                return _BITS.get(self._types.get(value, 0))

    def _bits_after(self, value: str) -> int | None:
        """Return the bits of a result; of one that only gets quantized, those that it gets."""
        own = _BITS.get(self._types.get(value, 0))
        while len(self._read_by.get(value, ())) == 1:
            (node,) = self._read_by[value]
            value = node.proto.output[0]
            if node.kind in _QUANTIZED:
                return _BITS.get(self._types.get(value, 0), own)
            if node.kind not in _BEFORE_QUANTIZATION:
                break
        return own


def _label(proto: Any, index: int) -> str:  # noqa: ANN401
    """Return the path of the module that a node comes from, as PyTorch's exporters tell it.

    The newer one writes the path beside the node, the older one all scopes in front of the name
    (``/layer1/layer1.0/conv1/Conv``).
    """
    for entry in proto.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            scopes = re.findall(r"'([^']*)'", entry.value)
            if len(scopes) > 1 and scopes[-2]:
                return str(scopes[-2])
    name = str(proto.name)
    if not name.startswith("/"):
        return name or f"{proto.op_type}_{index}"
    path: list[str] = []
    for scope in name.split("/")[1:-1]:
        inner = path and scope.startswith(f"{path[-1]}.")
        path = [*(path[:-1] if inner else path), scope]
    return ".".join(path) or name[1:]
