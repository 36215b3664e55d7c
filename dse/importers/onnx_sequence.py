"""Attention and recurrent layers of ONNX and its runtime, as the matrix products they are."""

from __future__ import annotations

from dataclasses import dataclass

from dse.errors import SpecError
from dse.importers.found import Finder
from dse.importers.onnx_graph import Graph, GraphNode

#: Products of each step of a recurrent layer, by its operator.
_GATES = {"LSTM": 4, "DynamicQuantizeLSTM": 4, "GRU": 3, "RNN": 1}


@dataclass(frozen=True)
class _Heads:
    """Queries and keys: heads, sizes of one head, steps."""

    batch: int
    heads: int
    groups: int
    queries: int
    keys: int
    size: int
    value_size: int


def attention(graph: Graph, finder: Finder, node: GraphNode) -> None:
    """Add the attention of ONNX: heads by themselves, or side by side in the last dimension."""
    query, key, value = (graph.shape(node.input(i)) for i in range(3))
    if len(query) == 4:
        batch, heads, queries, size = query
        groups, keys, value_size = key[1], key[2], value[3]
    else:
        batch, queries, width = query
        heads, groups = node.integer("q_num_heads", 0), node.integer("kv_num_heads", 0)
        size, keys, value_size = width // heads, key[1], value[2] // groups
    keys += _past(graph, node, 4)
    _add_heads(graph, finder, node, _Heads(batch, heads, groups, queries, keys, size, value_size))


def projected_attention(
    graph: Graph, finder: Finder, node: GraphNode, *, past: int = 4
) -> list[int]:
    """Add the runtime's attention that makes queries, keys and values from one input."""
    batch, steps, inner = graph.shape(node.input(0))
    whole = graph.shape(node.input(1))[1]
    widths = node.integers("qkv_hidden_sizes", [whole // 3] * 3)
    heads = node.integer("num_heads", 0)
    finder.matmul(
        f"{node.label}.projection",
        batch * steps,
        inner,
        whole,
        1,
        graph.weights(node.input(1)),
        graph.precision(node.input(0), node.input(1), node.proto.output[0]),
    )
    before = graph.shape(node.input(past))[3] if node.input(past) else 0
    sizes = widths[0] // heads, widths[2] // heads
    _add_heads(graph, finder, node, _Heads(batch, heads, heads, steps, steps + before, *sizes))
    return [batch, steps, widths[2]]


def quantized_attention(graph: Graph, finder: Finder, node: GraphNode) -> list[int]:
    """As :func:`projected_attention`; scales and zeros stand before what was computed before."""
    return projected_attention(graph, finder, node, past=8)


def multi_head_attention(graph: Graph, finder: Finder, node: GraphNode) -> list[int]:
    """Add the runtime's attention of projected queries, keys and values; or packed ones."""
    query, heads = graph.shape(node.input(0)), node.integer("num_heads", 0)
    if len(query) == 5:  # batch, steps, heads, 3, size
        batch, queries, _, _, size = query
        keys, value_size = queries, size
    else:
        batch, queries, width = query
        size = width // heads
        key = graph.shape(node.input(1))
        # batch, steps, width; batch, heads, steps, size; batch, steps, heads, 2, size
        keys = key[2] if len(key) == 4 else key[1]
        value_size = size
        if node.input(2):
            value = graph.shape(node.input(2))
            value_size = value[3] if len(value) == 4 else value[2] // heads
    keys += _past(graph, node, 6)
    _add_heads(graph, finder, node, _Heads(batch, heads, heads, queries, keys, size, value_size))
    return [batch, queries, heads * value_size]


def grouped_attention(graph: Graph, finder: Finder, node: GraphNode) -> list[int]:
    """Add the runtime's attention of query heads that share key heads."""
    batch, queries, width = graph.shape(node.input(0))
    heads, groups = node.integer("num_heads", 0), node.integer("kv_num_heads", 0)
    packed = not node.input(1)
    size = width // (heads + 2 * groups) if packed else width // heads
    keys = queries if packed else graph.shape(node.input(1))[1]
    keys += _past(graph, node, 3)
    _add_heads(graph, finder, node, _Heads(batch, heads, groups, queries, keys, size, size))
    return [batch, queries, heads * size]


def recurrent(graph: Graph, finder: Finder, node: GraphNode) -> None:
    """Add a recurrent layer: of all steps at once what reads the input, of each what the state."""
    into, w = graph.shape(node.input(0)), graph.shape(node.input(1))
    recurrence = graph.shape(node.input(2))
    batch, steps = (into[0], into[1]) if node.integer("layout", 0) else (into[1], into[0])
    quantized = node.kind == "DynamicQuantizeLSTM"
    hidden = recurrence[1] if quantized else recurrence[2]
    gates, directions = _GATES[node.kind] * hidden, w[0]
    precision = graph.precision(node.input(0), node.input(1), node.proto.output[0])
    own, again = graph.weights(node.input(1)), graph.weights(node.input(2))
    for way in range(directions):
        label = f"{node.label}.reverse" if way else node.label
        finder.matmul(f"{label}.input", steps * batch, into[-1], gates, 1, own, precision)
        finder.matmul(f"{label}.state", batch, hidden, gates, 1, again, precision)
        if steps > 1:
            later = "shared" if again == "own" else again
            finder.matmul(
                f"{label}.state", batch, hidden, gates, 1, later, precision, count=steps - 1
            )


def _add_heads(graph: Graph, finder: Finder, node: GraphNode, h: _Heads) -> None:
    """Add the scores of all heads, and their products with the values."""
    if min(h.heads, h.groups) < 1 or h.heads % h.groups:
        raise SpecError(f"{h.heads} query heads and {h.groups} key heads")
    # query heads that share a key head are rows of one product
    rows, batch = h.queries * (h.heads // h.groups), h.batch * h.groups
    precision = graph.precision(node.input(0), node.input(1) or node.input(0), node.proto.output[0])
    finder.matmul(f"{node.label}.scores", rows, h.size, h.keys, batch, "none", precision)
    finder.matmul(f"{node.label}.values", rows, h.keys, h.value_size, batch, "none", precision)


def _past(graph: Graph, node: GraphNode, index: int) -> int:
    """Return the steps of keys that were computed before."""
    return graph.shape(node.input(index))[2] if node.input(index) else 0
