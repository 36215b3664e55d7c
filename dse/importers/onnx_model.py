"""Workloads from ONNX files, with ONNX's own shape inference."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dse.domain.problem import Weights
from dse.errors import SpecError, ToolError
from dse.importers.found import Finder, Imported

#: Operators that multiply and accumulate; all others are free of MACs.
_UNKNOWN_PRODUCTS = frozenset(
    [
        "Einsum",
        "LSTM",
        "GRU",
        "RNN",
        "Attention",
        "MultiHeadAttention",
        "GroupQueryAttention",
        "DeformConv",
        "FusedMatMul",
        "MatMulNBits",
        "QGemm",
    ]
)
#: The domains of ONNX's own operators.
_OWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
#: Operators of other domains, such as ONNX Runtime's, that multiply and accumulate nothing.
_FREE = frozenset(
    [
        *("BiasAdd", "BiasDropout", "BiasGelu", "BiasSoftmax", "BiasSplitGelu", "FastGelu", "Gelu"),
        *("DequantizeLinear", "QuantizeLinear", "QuickGelu"),
        *("QLinearAdd", "QLinearAveragePool", "QLinearConcat", "QLinearGlobalAveragePool"),
        *("QLinearLeakyRelu", "QLinearMul", "QLinearReduceMean", "QLinearSigmoid"),
        *("QLinearSoftmax", "QLinearWhere", "QLinearGelu", "NhwcMaxPool", "NhwcFusedPool"),
        *("LayerNormalization", "SimplifiedLayerNormalization", "SkipLayerNormalization"),
        *(
            "SkipSimplifiedLayerNormalization",
            "EmbedLayerNormalization",
            "GroupNorm",
            "SkipGroupNorm",
        ),
        *("RotaryEmbedding", "GatherND", "Inverse", "Pad", "Trilu", "Unique", "ReorderInput"),
        *("ReorderOutput", "UnfoldTensor", "ExpandDims", "IsAllFinite", "Range", "MemcpyFromHost"),
    ]
)


def from_onnx(path: Path, name: str, sizes: dict[str, int] | None = None) -> Imported:
    """Import the convolutions and matrix products of an ONNX model.

    Args:
        path: of the file; weights in files beside it are not needed.
        name: of the workload.
        sizes: values of the model's symbolic dimensions, such as ``{"batch": 1}``. A symbolic
            first dimension of an input is 1 unless given.

    Raises:
        ToolError: onnx is not installed.
        SpecError: the file is missing or no ONNX model, or no layer could be imported.
    """
    try:
        import onnx  # noqa: PLC0415
        from onnx import shape_inference  # noqa: PLC0415
    except ImportError as error:
        raise ToolError("importing ONNX needs the package onnx: pip install onnx") from error
    if not path.is_file():
        raise SpecError(f"{path}: there is no such file")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # the protobuf reader raises errors of its own
        raise SpecError(f"{path}: not an ONNX model: {error}") from error
    _fix_inputs(model, sizes or {})
    try:
        model = shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # an odd model may still have enough shapes
        finder = Finder()
        finder.note(f"shape inference failed: {str(error).strip().partition(chr(10))[0]}")
        return _GraphWalk(model, finder).imported(name)
    return _GraphWalk(model, Finder()).imported(name)


def _fix_inputs(model: Any, sizes: dict[str, int]) -> None:  # noqa: ANN401
    """Set symbolic dimensions of the inputs."""
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name in constants:
            continue
        for index, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.HasField("dim_value") and dimension.dim_value > 0:
                continue
            if dimension.dim_param in sizes:
                dimension.dim_value = sizes[dimension.dim_param]
            elif index == 0:
                dimension.dim_value = 1


class _GraphWalk:
    """One walk over a graph."""

    def __init__(self, model: Any, finder: Finder) -> None:  # noqa: ANN401
        self._graph = model.graph
        self._finder = finder
        self._shapes: dict[str, list[int | None]] = {}
        for tensor in self._graph.initializer:
            self._shapes[tensor.name] = list(tensor.dims)
        for value in (*self._graph.input, *self._graph.value_info, *self._graph.output):
            if value.type.HasField("tensor_type") and value.type.tensor_type.HasField("shape"):
                self._shapes.setdefault(
                    value.name,
                    [d.dim_value or None for d in value.type.tensor_type.shape.dim],
                )
        #: what parameters a value is a reshaped form of
        self._parameter = {tensor.name: tensor.name for tensor in self._graph.initializer}
        self._used: set[str] = set()

    def imported(self, name: str) -> Imported:
        for index, node in enumerate(self._graph.node):
            label = node.name or f"{node.op_type}_{index}"
            if node.op_type == "Constant":
                self._parameter[node.output[0]] = node.output[0]
            elif node.op_type in _RESHAPES and node.input and node.input[0] in self._parameter:
                self._parameter[node.output[0]] = self._parameter[node.input[0]]
            handle = _HANDLERS.get(node.op_type)
            try:
                if handle is not None:
                    handle(self, node, label)
                elif node.op_type in _UNKNOWN_PRODUCTS:
                    self._finder.skip(
                        label, node.op_type, "not known to the importer", self._macs(node)
                    )
                elif node.domain not in _OWN_DOMAINS and node.op_type not in _FREE:
                    why = f"of the domain '{node.domain}', not known to the importer"
                    self._finder.skip(label, node.op_type, why)
                elif any(a.HasField("g") for a in node.attribute):
                    self._finder.skip(label, node.op_type, "a graph within the graph")
            except (SpecError, KeyError, IndexError, TypeError, ValueError) as error:
                self._finder.skip(label, node.op_type, str(error))
        return self._finder.imported(name)

    def convolution(self, node: Any, label: str, *, weight: int = 1) -> None:  # noqa: ANN401
        into, taps = self._shape(node.input[0]), self._shape(node.input[weight])
        out = self._shape(node.output[0])
        kernel = taps[2:]
        self._finder.convolution(
            label,
            into[0],
            (into[1], out[1]),
            _integer(node, "group", 1),
            out[2:],
            kernel,
            _integers(node, "strides", len(kernel)),
            _integers(node, "dilations", len(kernel)),
            self._weights(node.input[weight]),
        )

    def quantized_convolution(self, node: Any, label: str) -> None:  # noqa: ANN401
        self.convolution(node, label, weight=3)

    def transposed(self, node: Any, label: str) -> None:  # noqa: ANN401
        into, taps = self._shape(node.input[0]), self._shape(node.input[1])
        groups = _integer(node, "group", 1)
        kernel = taps[2:]
        self._finder.transposed_convolution(
            label,
            into[0],
            (into[1], taps[1] * groups),
            groups,
            into[2:],
            kernel,
            _integers(node, "strides", len(kernel)),
            _integers(node, "dilations", len(kernel)),
        )

    def gemm(self, node: Any, label: str) -> None:  # noqa: ANN401
        a, b = self._shape(node.input[0]), self._shape(node.input[1])
        if _integer(node, "transA", 0):
            a = a[::-1]
        if _integer(node, "transB", 0):
            b = b[::-1]
        self._finder.matmul(label, a[0], a[1], b[1], 1, self._weights(node.input[1]))

    def matmul(self, node: Any, label: str, *, right: int = 1) -> None:  # noqa: ANN401
        a, b = self._shape(node.input[0]), self._shape(node.input[right])
        a = [1, *a] if len(a) == 1 else a
        b = [*b, 1] if len(b) == 1 else b
        weights = self._weights(node.input[right])
        outer = math.prod(b[:-2])
        if outer == 1:
            # one right-hand side for all: its products are rows of one
            self._finder.matmul(label, math.prod(a[:-1]), a[-1], b[-1], 1, weights)
            return
        batch = math.prod(
            max(x, y) for x, y in zip(_padded(a[:-2], b), _padded(b[:-2], a), strict=True)
        )
        self._finder.matmul(label, a[-2], a[-1], b[-1], batch, weights)

    def quantized_matmul(self, node: Any, label: str) -> None:  # noqa: ANN401
        self.matmul(node, label, right=3)

    def _weights(self, value: str) -> Weights:
        parameter = self._parameter.get(value)
        if parameter is None:
            return "none"
        if parameter in self._used:
            return "shared"
        self._used.add(parameter)
        return "own"

    def _shape(self, value: str) -> list[int]:
        shape = self._shapes.get(value)
        if shape is None:
            raise SpecError(f"the shape of '{value}' is not known")
        known = [n for n in shape if n is not None]
        if len(known) < len(shape):
            raise SpecError(f"the shape of '{value}' is {shape}: set its symbolic dimensions")
        return known

    def _macs(self, node: Any) -> int | None:  # noqa: ANN401
        """Count the MACs of a recurrent layer; None for others."""
        gates = {"LSTM": 4, "GRU": 3, "RNN": 1}.get(node.op_type)
        if gates is None:
            return None
        try:
            steps, batch, features = self._shape(node.input[0])[:3]
            directions = self._shape(node.input[1])[0]
        except (SpecError, IndexError, ValueError):
            return None
        hidden = _integer(node, "hidden_size", 0)
        return steps * batch * directions * gates * hidden * (features + hidden)


_RESHAPES = frozenset(
    ["Transpose", "Reshape", "Unsqueeze", "Squeeze", "Cast", "DequantizeLinear", "Identity"]
)
_HANDLERS: dict[str, Callable[[_GraphWalk, Any, str], None]] = {
    "Conv": _GraphWalk.convolution,
    "ConvInteger": _GraphWalk.convolution,
    "FusedConv": _GraphWalk.convolution,
    "QLinearConv": _GraphWalk.quantized_convolution,
    "ConvTranspose": _GraphWalk.transposed,
    "Gemm": _GraphWalk.gemm,
    "MatMul": _GraphWalk.matmul,
    "MatMulInteger": _GraphWalk.matmul,
    "QLinearMatMul": _GraphWalk.quantized_matmul,
}


def _padded(outer: list[int], other: list[int]) -> list[int]:
    """Return the outer dimensions with ones in front, as many as the longer operand has."""
    return [1] * (max(len(other) - 2, len(outer)) - len(outer)) + outer


def _integer(node: Any, key: str, default: int) -> int:  # noqa: ANN401
    for attribute in node.attribute:
        if attribute.name == key:
            return int(attribute.i)
    return default


def _integers(node: Any, key: str, axes: int) -> list[int]:  # noqa: ANN401
    for attribute in node.attribute:
        if attribute.name == key:
            return [int(n) for n in attribute.ints]
    return [1] * axes
