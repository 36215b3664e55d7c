"""ONNX models of a node or a few, made for the tests of the importer."""

import math

import pytest

onnx = pytest.importorskip("onnx")
helper, TensorProto = onnx.helper, onnx.TensorProto
RUNTIME = "com.microsoft"


def node(kind, inputs, outputs, name="", domain="", **attributes):
    """Return a node; operands and results are names split by blanks."""
    made = helper.make_node(kind, inputs.split(" "), outputs.split(), name or kind, **attributes)
    made.domain = domain
    return made


def parameter(name, *dims, kind=TensorProto.FLOAT):
    """Return a parameter of zeros."""
    if kind in (TensorProto.INT4, TensorProto.UINT4):
        return helper.make_tensor(name, kind, dims, bytes(-(-math.prod(dims) // 2)), raw=True)
    width = {TensorProto.FLOAT16: 2, TensorProto.INT8: 1, TensorProto.UINT8: 1}.get(kind, 4)
    return helper.make_tensor(name, kind, dims, bytes(width * math.prod(dims)), raw=True)


def integers(name, *values):
    """Return a parameter of indices."""
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def value(name, *dims, kind=TensorProto.FLOAT):
    """Return what a value is."""
    return helper.make_tensor_value_info(name, kind, dims or None)


def save(path, nodes, inputs, parameters=(), outputs=None, inner=(), functions=()):
    """Write a model; the last node's results are its own unless told otherwise."""
    results = outputs or [helper.make_empty_tensor_value_info(n) for n in nodes[-1].output]
    graph = helper.make_graph(nodes, "net", inputs, results, list(parameters), value_info=inner)
    domains = {n.domain for n in nodes}
    opsets = [helper.make_opsetid("", 23)]
    opsets += [helper.make_opsetid(domain, 1) for domain in sorted(domains - {""})]
    onnx.save(helper.make_model(graph, opset_imports=opsets, functions=list(functions)), path)
    return path
