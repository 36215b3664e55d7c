"""Workloads from ONNX files, with ONNX's own shape inference."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dse.errors import SpecError, ToolError, unknown_name
from dse.importers.found import Finder, Imported
from dse.importers.onnx_folding import fold
from dse.importers.onnx_graph import Graph, GraphNode
from dse.importers.onnx_kinds import free_shape, handler_of, has_products, is_free

#: How the value of a symbolic dimension is given on the command line.
SIZE_OPTION = "--size {}=N"
#: Elements of a parameter that may say something of shapes; of larger ones only sizes are kept.
_MOST_VALUES = 1024


def workload_name(path: Path) -> str:
    """Return what a workload from this file is called."""
    clean = re.sub(r"[^A-Za-z0-9_.-]+", "_", path.stem).strip("_.-")[:60] or "model"
    return clean if clean[0].isalpha() else f"_{clean}"


def from_onnx(
    path: Path, name: str, sizes: Mapping[str, int] | None = None, option: str = SIZE_OPTION
) -> Imported:
    """Import the convolutions and matrix products of an ONNX model.

    Args:
        path: of the file; weights in files beside it are not needed.
        name: of the workload.
        sizes: values of the model's symbolic dimensions, such as ``{"batch": 1}``; one without a
            name goes by its place, such as ``x.2``. A symbolic first dimension of an input is 1
            unless given.
        option: how people give such a value, for messages.

    Raises:
        ToolError: onnx is not installed.
        SpecError: the file is missing or no ONNX model, a symbolic dimension has no value, or a
            value no dimension, or no layer could be imported.
    """
    model = _load(path)
    notes = _set_sizes(model, dict(sizes or {}), str(path), option)
    while True:
        notes += _infer(model)
        graph = Graph(model)
        finder, learned = _walk(graph)
        _add_shapes(model, learned)
        # shapes that the file computes, and those of the runtime's operators, let ONNX infer more
        if not (finder.skipped and fold(model, graph)) and not learned:
            break
    for note in notes:
        finder.note(note)
    return finder.imported(name)


def _add_shapes(model: Any, learned: list[tuple[str, int, list[int]]]) -> None:  # noqa: ANN401
    """Write shapes into a model, each a value's name, type and sizes."""
    from onnx import helper  # noqa: PLC0415

    names = {name for name, _, _ in learned}
    others = [v for v in model.graph.value_info if v.name not in names]
    del model.graph.value_info[:]
    model.graph.value_info.extend(others)
    model.graph.value_info.extend(helper.make_tensor_value_info(*one) for one in learned)


def symbolic_dimensions(path: Path) -> tuple[str, ...]:
    """Return the names of a model's symbolic dimensions.

    Raises:
        ToolError, SpecError: as :func:`from_onnx`, of the file.
    """
    return tuple(label for label, _, _ in _symbolic(_load(path)))


def _load(path: Path) -> Any:  # noqa: ANN401
    """Return a model, its functions inlined."""
    try:
        import onnx  # noqa: PLC0415
        from onnx import inliner  # noqa: PLC0415
    except ImportError as error:
        raise ToolError("importing ONNX needs the package onnx: pip install onnx") from error
    if not path.is_file():
        raise SpecError(f"{path}: there is no such file")
    try:
        model = onnx.load(str(path), load_external_data=False)
        if model.functions:
            model = inliner.inline_local_functions(model)
    except Exception as error:  # the protobuf reader raises errors of its own
        raise SpecError(f"{path}: not an ONNX model: {error}") from error
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) > _MOST_VALUES:
            # shapes do not depend on them, and every inference would copy them
            for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data"):
                tensor.ClearField(field)
            tensor.data_location = onnx.TensorProto.EXTERNAL
    return model


def _symbolic(model: Any) -> list[tuple[str, str, int]]:  # noqa: ANN401
    """Return the symbolic dimensions of the inputs, each once: its name, of which input, where."""
    constants = {tensor.name for tensor in model.graph.initializer}
    found: dict[str, tuple[str, str, int]] = {}
    for value in model.graph.input:
        if value.name in constants:
            continue
        for index, dimension in enumerate(value.type.tensor_type.shape.dim):
            if not dimension.dim_value > 0:
                label = dimension.dim_param or f"{value.name}.{index}"
                if label not in found or index == 0:
                    found[label] = (label, value.name, index)
    return list(found.values())


def _set_sizes(model: Any, sizes: dict[str, int], where: str, option: str) -> list[str]:  # noqa: ANN401
    """Set symbolic dimensions of the inputs; return notes on those that were not given."""
    symbolic = _symbolic(model)
    for label in sizes:
        if label not in (name for name, _, _ in symbolic):
            known = [name for name, _, _ in symbolic]
            raise SpecError(f"{where}: {unknown_name('symbolic dimension', label, known)}")
    first = [label for label, _, index in symbolic if index == 0 and label not in sizes]
    missing = {label: of for label, of, _ in symbolic if label not in (*first, *sizes)}
    if missing:
        asked = ", ".join(f"{label} (of input '{of}')" for label, of in missing.items())
        options = " ".join(option.format(label) for label in missing)
        raise SpecError(f"{where}: symbolic dimensions without a value: {asked}; {options}")
    values = {**sizes, **dict.fromkeys(first, 1)}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        for index, dimension in enumerate(value.type.tensor_type.shape.dim):
            own = dimension.dim_param or f"{value.name}.{index}"
            if own in values and not dimension.dim_value > 0:
                dimension.dim_value = values[own]
    _forget_unknown(model)
    return [f"{label} = 1: {option.format(label)} sets it" for label in first]


def _forget_unknown(model: Any) -> None:  # noqa: ANN401
    """Leave out what the file says of shapes that it does not know: inference may know more."""
    shaped = [
        v
        for v in model.graph.value_info
        if all(d.HasField("dim_value") for d in v.type.tensor_type.shape.dim)
    ]
    del model.graph.value_info[:]
    model.graph.value_info.extend(shaped)
    for value in model.graph.output:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.HasField("dim_param"):
                dimension.ClearField("dim_param")


def _infer(model: Any) -> list[str]:  # noqa: ANN401
    """Let ONNX infer shapes, in place; return a note where it cannot."""
    from onnx import shape_inference  # noqa: PLC0415

    try:
        model.CopyFrom(shape_inference.infer_shapes(model, data_prop=True))
    except Exception as error:  # an odd model may still have enough shapes
        return [f"shape inference failed: {str(error).strip().partition(chr(10))[0]}"]
    return []


def _walk(graph: Graph) -> tuple[Finder, list[tuple[str, int, list[int]]]]:
    """Take all nodes; return what was found, and shapes that ONNX did not know."""
    finder, learned = Finder(), []
    for node in graph.nodes:
        try:
            shape = _take(graph, finder, node)
        except (SpecError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            finder.skip(node.label, node.kind, str(error))
            continue
        more = graph.learn(node, shape) if shape is not None else None
        if more is not None:
            learned.append(more)
    return finder, learned


def _take(graph: Graph, finder: Finder, node: GraphNode) -> list[int] | None:
    """Add a node's layers, or its name where it is not known; return its result's shape."""
    handle = handler_of(node)
    if handle is not None:
        return handle(graph, finder, node)
    domain = node.proto.domain
    if not is_free(node):
        of = f" of the domain '{domain}'" if domain else ""
        finder.skip(node.label, node.kind, f"an operator{of} that is not known to the importer")
    elif any(has_products(a.g) for a in node.proto.attribute if a.HasField("g")):
        finder.skip(node.label, node.kind, "a graph within the graph")
    return free_shape(graph, node) if graph.knows(node.input(0)) else None
