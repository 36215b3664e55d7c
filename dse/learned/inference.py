"""Compiled inference: layers of networks, and trees, row after row.

A row's result does not depend on the rows beside it: sums run over a row's own numbers in one
order. So a batch may be split anywhere.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.jit import compiled, inlined
from dse.numeric import Floats, Ints

Singles = npt.NDArray[np.float32]
NodePlaces = npt.NDArray[np.int32]

#: What a layer does with its sums: :func:`dense`.
NONE, RELU, GELU = range(3)
#: Rows that share one pass over the weights, and those that share one over the trees.
_ROWS, _BLOCK = 16, 64


@inlined
def _add_four_to_two(x: Singles, weights: Singles, k: int, b: int, out: Singles) -> None:
    """Add the products of four inputs to two rows: eight for each load of weights."""
    a0, a1, a2, a3 = x[b, k], x[b, k + 1], x[b, k + 2], x[b, k + 3]
    c0, c1, c2, c3 = x[b + 1, k], x[b + 1, k + 1], x[b + 1, k + 2], x[b + 1, k + 3]
    for j in range(out.shape[1]):
        w0, w1, w2, w3 = weights[k, j], weights[k + 1, j], weights[k + 2, j], weights[k + 3, j]
        out[b, j] = out[b, j] + a0 * w0 + a1 * w1 + a2 * w2 + a3 * w3
        out[b + 1, j] = out[b + 1, j] + c0 * w0 + c1 * w1 + c2 * w2 + c3 * w3


@inlined
def _add_four_to_one(x: Singles, weights: Singles, k: int, b: int, out: Singles) -> None:
    """Add the products of four inputs to one row, in the order of the other."""
    a0, a1, a2, a3 = x[b, k], x[b, k + 1], x[b, k + 2], x[b, k + 3]
    for j in range(out.shape[1]):
        w0, w1, w2, w3 = weights[k, j], weights[k + 1, j], weights[k + 2, j], weights[k + 3, j]
        out[b, j] = out[b, j] + a0 * w0 + a1 * w1 + a2 * w2 + a3 * w3


@compiled
def dense(x: Singles, weights: Singles, bias: Singles, activation: int, out: Singles) -> None:
    """Write ``activation(x @ weights + bias)``: ``(B, I)``, ``(I, O)``, ``(O,)``, ``(B, O)``."""
    for first in range(0, x.shape[0], _ROWS):
        last = min(first + _ROWS, x.shape[0])
        for b in range(first, last):
            for j in range(out.shape[1]):
                out[b, j] = bias[j]
        whole = x.shape[1] - x.shape[1] % 4
        for k in range(0, whole, 4):
            for b in range(first, last - 1, 2):
                _add_four_to_two(x, weights, k, b, out)
            if (last - first) % 2:
                _add_four_to_one(x, weights, k, last - 1, out)
        for k in range(whole, x.shape[1]):
            for b in range(first, last):
                value = x[b, k]
                for j in range(out.shape[1]):
                    out[b, j] += value * weights[k, j]
        if activation == RELU:
            for b in range(first, last):
                for j in range(out.shape[1]):
                    out[b, j] = max(out[b, j], np.float32(0.0))
        elif activation == GELU:
            for b in range(first, last):
                for j in range(out.shape[1]):
                    v = float(out[b, j])
                    out[b, j] = np.float32(0.5 * v * (1.0 + math.erf(v / math.sqrt(2.0))))


@compiled
def boosted(
    x: Floats,
    feature: NodePlaces,
    threshold: Floats,
    left: NodePlaces,
    right: NodePlaces,
    value: Floats,
    roots: NodePlaces,
    baseline: float,
    out: Floats,
) -> None:
    """Write the sums of trees, ``out (B,)``, of features ``x (B, F)``.

    Nodes of all trees stand in one table; a leaf has -1 for a feature. A row goes left where its
    feature is at most the threshold.
    """
    for first in range(0, x.shape[0], _BLOCK):
        last = min(first + _BLOCK, x.shape[0])
        for b in range(first, last):
            out[b] = baseline
        for root in roots:
            for b in range(first, last):
                node = root
                while feature[node] >= 0:
                    one, other = left[node], right[node]
                    node = one if x[b, feature[node]] <= threshold[node] else other
                out[b] += value[node]


@compiled
def sums(x: Floats, places: Ints, offsets: Ints, out: Floats) -> None:
    """Write sums of columns: ``out[b, j]`` of ``x[b, places[offsets[j] : offsets[j + 1]]]``."""
    for b in range(x.shape[0]):
        for j in range(out.shape[1]):
            total = 0.0
            for i in range(offsets[j], offsets[j + 1]):
                total += x[b, places[i]]
            out[b, j] = total


def product(
    x: npt.NDArray[Any],
    weights: npt.NDArray[Any],
    bias: npt.NDArray[Any] | None = None,
    activation: int = NONE,
) -> npt.NDArray[Any]:
    """Return :func:`dense` of arrays of one type; BLAS would mind the rows beside a row."""
    out = np.empty((len(x), weights.shape[1]), weights.dtype)
    none = np.zeros(weights.shape[1], weights.dtype) if bias is None else bias
    dense(np.ascontiguousarray(x), weights, none, activation, out)
    return out
