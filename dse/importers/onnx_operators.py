"""ONNX's convolutions and matrix products, and those of its runtime, as layers.

A handler adds the layers of one node, and returns the shape of its first result where it can say:
ONNX infers no shapes of operators that are the runtime's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dse.importers.einsum import product_of
from dse.importers.found import Finder
from dse.importers.onnx_graph import Graph, GraphNode

#: Bits of a weight of the runtime's block-quantized products, where the node does not say.
_BLOCK_BITS = 4
#: The runtime's operators on channels in blocks.
_BLOCKS = "com.microsoft.nchwc"
#: Those on images whose channels come last.
CHANNELS_LAST = "com.ms.internal.nhwc"


def convolution(
    graph: Graph, finder: Finder, node: GraphNode, *, weight: int = 1, channels_last: bool = False
) -> list[int]:
    """Add a convolution whose weights are so many operands after its input."""
    into, taps = graph.shape(node.input(0)), graph.shape(node.input(weight))
    last = channels_last or bool(node.integer("channels_last", 0))
    if last:
        into = [into[0], into[-1], *into[1:-1]]
    kernel = taps[2:]
    stride = node.integers("strides", [1] * len(kernel))
    dilation = node.integers("dilations", [1] * len(kernel))
    name = node.proto.output[0]
    if graph.knows(name):
        shape = graph.shape(name)
        output = shape[1:-1] if last else shape[2:]
    else:
        output = _pixels(node, into[2:], kernel, stride, dilation)
    if node.proto.domain == _BLOCKS:
        finder.note("channels are filled up to ONNX Runtime's blocks; other models have fewer")
    finder.convolution(
        node.label,
        into[0],
        (into[1], taps[0]),
        node.integer("group", 1),
        output,
        kernel,
        stride,
        dilation,
        graph.weights(node.input(weight)),
        graph.precision(node.input(0), node.input(weight), name),
    )
    return [into[0], *output, taps[0]] if last else [into[0], taps[0], *output]


def quantized_convolution(graph: Graph, finder: Finder, node: GraphNode) -> list[int]:
    """Add a convolution whose input comes with its scale and zero."""
    return convolution(graph, finder, node, weight=3)


def convolution_of_channels_last(graph: Graph, finder: Finder, node: GraphNode) -> list[int]:
    """Add a convolution over images whose channels come last."""
    return convolution(graph, finder, node, channels_last=True)


def deformable(graph: Graph, finder: Finder, node: GraphNode) -> list[int]:
    """Add a convolution of pixels that are interpolated before."""
    finder.note(f"{node.label}: a deformable convolution; its interpolation is not counted")
    return convolution(graph, finder, node)


def transposed(graph: Graph, finder: Finder, node: GraphNode) -> None:
    """Add a transposed convolution."""
    into, taps = graph.shape(node.input(0)), graph.shape(node.input(1))
    groups = node.integer("group", 1)
    kernel = taps[2:]
    finder.transposed_convolution(
        node.label,
        into[0],
        (into[1], taps[1] * groups),
        groups,
        into[2:],
        kernel,
        node.integers("strides", [1] * len(kernel)),
        node.integers("dilations", [1] * len(kernel)),
        graph.weights(node.input(1)),
        graph.precision(node.input(0), node.input(1), node.proto.output[0]),
    )


def pooled(graph: Graph, node: GraphNode) -> list[int]:
    """Return the shape of what pooling makes."""
    into = graph.shape(node.input(0))
    last = node.kind.startswith("Nhwc") or node.proto.domain == CHANNELS_LAST
    last = last or bool(node.integer("channels_last", 0))
    pixels = into[1:-1] if last else into[2:]
    ones = [1] * len(pixels)
    if "Global" in node.kind:
        output = ones
    else:
        stride, dilation = node.integers("strides", ones), node.integers("dilations", ones)
        output = _pixels(node, pixels, node.integers("kernel_shape", ones), stride, dilation)
    return [into[0], *output, into[-1]] if last else [into[0], into[1], *output]


def gemm(graph: Graph, finder: Finder, node: GraphNode, *, right: int = 1) -> list[int]:
    """Add a product of two matrices, either of which may be turned."""
    return _product(
        graph,
        finder,
        node,
        _turned(graph.shape(node.input(0)), node, "A"),
        _turned(graph.shape(node.input(right)), node, "B"),
        right,
    )


def quantized_gemm(graph: Graph, finder: Finder, node: GraphNode) -> list[int]:
    """Add a product whose first operand comes with its scale and zero."""
    return gemm(graph, finder, node, right=3)


def quantized_matmul(graph: Graph, finder: Finder, node: GraphNode) -> list[int]:
    """As :func:`quantized_gemm`; nothing is turned."""
    return gemm(graph, finder, node, right=3)


def block_quantized(graph: Graph, finder: Finder, node: GraphNode) -> list[int]:
    """Add a product with weights that are packed; their sizes are attributes."""
    a, columns = graph.shape(node.input(0)), node.integer("N", 0)
    bits = node.integer("bits", _BLOCK_BITS)
    return _product(graph, finder, node, a, [node.integer("K", a[-1]), columns], 1, bits)


def einsum(graph: Graph, finder: Finder, node: GraphNode) -> None:
    """Add Einstein's sum of two operands as a product."""
    names = list(node.inputs)
    shapes = [graph.shape(name) for name in names]
    equation = node.text("equation")
    if len(names) == 2 and graph.is_parameter(names[0]) and not graph.is_parameter(names[1]):
        # parameters come second
        before, arrow, after = equation.partition("->")
        equation = ",".join(before.split(",")[::-1]) + arrow + after
        names, shapes = names[::-1], shapes[::-1]
    found = product_of(equation, shapes)
    if found is None or found.is_elementwise:
        return
    precision = graph.precision(names[0], names[1], node.proto.output[0])
    weights = graph.weights(names[1])
    finder.matmul(
        node.label, found.rows, found.inner, found.columns, found.batch, weights, precision
    )


def _product(
    graph: Graph,
    finder: Finder,
    node: GraphNode,
    a: list[int],
    b: list[int],
    right: int,
    bits: int | None = None,
) -> list[int]:
    """Add the products of matrices of these shapes; return the shape of the result."""
    left_name, right_name = node.input(0), node.input(right)
    rows = [1, *a] if len(a) == 1 else a
    columns = [*b, 1] if len(b) == 1 else b
    outer = _broadcast(rows[:-2], columns[:-2])
    result = [*outer, *([] if len(a) == 1 else rows[-2:-1]), *([] if len(b) == 1 else [b[-1]])]
    if rows[-1] != columns[-2]:
        raise ValueError(f"a product of {a} and {b}: {rows[-1]} is not {columns[-2]}")
    if graph.is_parameter(left_name) and not graph.is_parameter(right_name):
        # parameters come second: the transposed product is the same work
        rows, columns = [*columns[:-2], *columns[:-3:-1]], [*rows[:-2], *rows[:-3:-1]]
        left_name, right_name = right_name, left_name
    precision = graph.precision(left_name, right_name, node.proto.output[0], bits)
    weights = graph.weights(right_name)
    if math.prod(columns[:-2]) == 1:
        # one right-hand side for all: its products are rows of one
        whole = math.prod(outer) * rows[-2]
        finder.matmul(node.label, whole, rows[-1], columns[-1], 1, weights, precision)
    else:
        batch = math.prod(outer)
        finder.matmul(node.label, rows[-2], rows[-1], columns[-1], batch, weights, precision)
    return result


def _turned(shape: list[int], node: GraphNode, operand: str) -> list[int]:
    """Return the shape of an operand as it is multiplied."""
    if len(shape) > 2 and node.integer(f"transBatch{operand}", 0):
        # rows come first, before what there are several products of
        shape = [*shape[1:-1], shape[0], shape[-1]]
    if len(shape) > 1 and node.integer(f"trans{operand}", 0):
        shape = [*shape[:-2], shape[-1], shape[-2]]
    return shape


def _broadcast(a: Sequence[int], b: Sequence[int]) -> list[int]:
    rank = max(len(a), len(b))
    pairs = zip([1] * (rank - len(a)) + [*a], [1] * (rank - len(b)) + [*b], strict=True)
    return [max(m, n) for m, n in pairs]


def _pixels(
    node: GraphNode,
    into: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> list[int]:
    """Return the output's height and width."""
    axes = len(kernel)
    if node.text("auto_pad").startswith("SAME"):
        return [-(-n // s) for n, s in zip(into, stride, strict=True)]
    pads = node.integers("pads", [0] * (2 * axes))
    return [
        (into[i] + pads[i] + pads[i + axes] - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1
        for i in range(axes)
    ]
