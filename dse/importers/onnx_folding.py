"""What a graph computes of shapes alone, computed ahead: ONNX's inference follows little of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.importers.onnx_graph import Graph

#: Operators that exporters put between a shape and what it makes.
_FOLDED = frozenset(
    [
        *("Add", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Floor"),
        *("Gather", "Identity", "Max", "Min", "Mod", "Mul", "Neg", "Range", "ReduceProd"),
        *("Reshape", "Slice", "Squeeze", "Sub", "Tile", "Unsqueeze", "Where"),
    ]
)
#: Elements of a value that may be a shape.
_MOST_ELEMENTS = 1024


def fold(model: Any, graph: Graph) -> bool:  # noqa: ANN401 - onnx has no types
    """Replace nodes whose results follow from known shapes and constants by these results.

    Args:
        model: changed in place.
        graph: of the model, with the shapes inferred so far.

    Returns:
        Whether there was any.
    """
    from onnx import TensorProto, numpy_helper  # noqa: PLC0415

    known: dict[str, Any] = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_location != TensorProto.EXTERNAL
    }
    kept, made = [], {}
    for node in model.graph.node:
        if node.op_type == "Constant":
            known |= _constant(node)
            kept.append(node)
            continue
        value = _value(node, known, graph)
        if value is None:
            kept.append(node)
        else:
            known[node.output[0]] = made[node.output[0]] = value
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in made.items())
    inner = [v for v in model.graph.value_info if v.name not in made]
    del model.graph.value_info[:]
    model.graph.value_info.extend(inner)
    return bool(made)


def _constant(node: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the value of a node that is one, unless it is large."""
    from onnx import numpy_helper  # noqa: PLC0415

    for attribute in node.attribute:
        if attribute.name == "value":
            value = numpy_helper.to_array(attribute.t)
        elif attribute.name == "value_int":
            value = np.array(attribute.i, np.int64)
        elif attribute.name == "value_ints":
            value = np.array(attribute.ints, np.int64)
        else:
            continue
        if value.size <= _MOST_ELEMENTS:
            return {node.output[0]: value}
    return {}


def _value(node: Any, known: dict[str, Any], graph: Graph) -> Any:  # noqa: ANN401
    """Return what a node makes, where that is known and small; else None."""
    if node.domain not in ("", "ai.onnx") or len(node.output) != 1:
        return None
    if node.op_type in ("Shape", "Size"):
        if not graph.knows(node.input[0]):
            return None
        shape = graph.shape(node.input[0])
        if node.op_type == "Size":
            return np.array(np.prod(shape, dtype=np.int64))
        ends = {a.name: a.i for a in node.attribute}
        return np.array(shape[ends.get("start", 0) : ends.get("end", len(shape))], np.int64)
    given = [name for name in node.input if name]
    if node.op_type not in _FOLDED or not all(name in known for name in given):
        return None
    if graph.knows(node.output[0]) and np.prod(graph.shape(node.output[0])) > _MOST_ELEMENTS:
        return None
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415

    try:
        (value,) = ReferenceEvaluator(node).run(None, {name: known[name] for name in given})
    except Exception:  # whatever a wrong graph raises: it stays as it is
        return None
    result = np.asarray(value)
    return result if result.size <= _MOST_ELEMENTS else None
