"""A network's latency as a function of relaxed mappings, with its gradient: what DOSA descends on.

Real-valued factors stand where the encoding's block ``raw`` has whole ones. Where a loop stands
within its level is taken as it is, and so is the hardware: neither has a gradient (DOSA's program
follows the hardware's, too).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import erf, expit

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.learned.encoding import raw_hardware
from dse.learned.folder import open_model
from dse.learned.inference import product
from dse.learned.model import LearnedModel
from dse.learned.network import SOFTPLUS_BETA, NetworkEnsemble, softplus
from dse.learned.networks import ResidualPredictor
from dse.numeric import Floats, Ints
from dse.relaxed.latency import CorrectedCycles
from dse.relaxed.points import Points


class NetworkLatency:
    """Cycles of relaxed mappings by a network that sees factors as they are.

    Args:
        model: of kind ``residual`` or ``dnn``, on features of the block ``raw`` alone.
        levels: names of the hardware's levels, innermost first.
        problems: what points may map; their ``problem`` indexes this list.
        name: of the model, for messages.

    Raises:
        SpecError: another model, or one that does not know a problem's dimensions.
    """

    def __init__(
        self, model: LearnedModel, levels: Sequence[str], problems: Sequence[Problem], name: str
    ) -> None:
        predictor = model.predictor
        if not isinstance(predictor, ResidualPredictor) or model.encoding.blocks != ("raw",):
            raise SpecError(
                f"{name}: is of kind {model.kind} on features {', '.join(model.encoding.blocks)}, "
                "which have no gradient by factors; expected residual or dnn on raw ones "
                "(train residual network=dosa)"
            )
        self._network = predictor.network
        self._encoding = model.encoding
        encoding = self._encoding
        dimensions = max(len(p.dimensions) for p in problems)
        self._fixed = np.zeros((len(problems), len(encoding.names)))
        # columns of factors and places by problem; those that a problem lacks are one beyond
        shape = (3, len(problems), len(levels), dimensions)
        self._at = np.full(shape, len(encoding.names))
        for p, problem in enumerate(problems):
            encoding.structure.check(levels, problem)
            for key, value in {**problem.bounds, **problem.coefficients}.items():
                self._fixed[p, encoding.place[f"raw.{key}"]] = value
            for kind, what in enumerate(("temporal", "spatial", "place")):
                found = encoding.columns((f"raw.{what}",), levels, problem.dimensions)
                self._at[kind, p, :, : len(problem.dimensions)] = found

    @classmethod
    def open(
        cls, folder: Path, levels: Sequence[str], problems: Sequence[Problem], name: str
    ) -> NetworkLatency:
        """Return that of a model folder; SpecError as `open_model` and the constructor."""
        return cls(open_model(folder).model, levels, problems, f"{name} = {folder}")

    def __call__(
        self,
        points: Points,
        native_cycles: Floats,
        hardware: Sequence[Architecture],
        index: Ints,
        *,
        gradient: bool,
    ) -> CorrectedCycles:
        """See :meth:`dse.relaxed.latency.Latency.__call__`."""
        features = self._features(points, hardware, index)
        outputs, by_features = _slopes(self._network, features, gradient=gradient)
        cycles, by_native, by_output = _head(self._network, outputs, native_cycles)
        if not gradient:
            nothing = np.empty((0, *points.temporal.shape[1:]))
            return CorrectedCycles(cycles, by_native, nothing, nothing)
        padded = np.hstack([by_output[:, None] * by_features, np.zeros((len(cycles), 1))])
        at = self._at[:, points.problem]
        rows = np.arange(len(cycles))[:, None, None]
        temporal, spatial = (
            # by the logarithm; a factor below 1 counts as 1
            np.where(factors >= 1.0, padded[rows, at[kind]] * factors, 0.0)
            for kind, factors in enumerate((points.temporal, points.spatial))
        )
        return CorrectedCycles(cycles, by_native, temporal, spatial)

    def _features(self, points: Points, hardware: Sequence[Architecture], index: Ints) -> Floats:
        count, names = len(points.problem), len(self._encoding.names)
        out = np.zeros((count, names + 1))
        out[:, :names] = self._fixed[points.problem]
        for name, values in raw_hardware(HardwareBatch(tuple(hardware))).items():
            out[:, self._encoding.place[name]] = values[index]
        rows = np.arange(count)[:, None, None]
        at = self._at[:, points.problem]
        out[rows, at[0]] = np.maximum(points.temporal, 1.0)
        out[rows, at[1]] = np.maximum(points.spatial, 1.0)
        inside_out = (
            np.take_along_axis(points.temporal, points.order.astype(np.int64), axis=2) > 1.0
        )
        place = np.where(inside_out, inside_out.cumsum(axis=2), 0)
        places = np.zeros(points.temporal.shape)
        np.put_along_axis(places, points.order.astype(np.int64), place, axis=2)
        out[rows, at[2]] = places
        return out[:, :names]


def _slopes(network: NetworkEnsemble, features: Floats, *, gradient: bool) -> tuple[Floats, Floats]:
    """Return the members' mean first output, ``(B,)``, and its derivatives, ``(B, F)``."""
    inputs, inside = network.inputs(features)
    members, last = len(network.weights[0]), len(network.weights) - 1
    mean = np.zeros(len(features))
    slopes = np.zeros(inputs.shape)
    for m in range(members):
        x, before = inputs, []
        for i, (weights, biases) in enumerate(zip(network.weights, network.biases, strict=True)):
            x = product(x, weights[m], biases[m])
            if i < last:
                before.append(x)
                x = _activated(network.activation, x)
        mean += x[:, 0].astype(np.float64)
        if not gradient:
            continue
        back = np.repeat(network.weights[last][m][:, :1].T, len(features), axis=0)
        for i in range(last - 1, -1, -1):
            back = back * _activation_slope(network.activation, before[i])
            back = product(back, np.ascontiguousarray(network.weights[i][m].T))
        slopes += back
    result = np.zeros(features.shape)
    result[:, network.columns] = slopes * inside / members / network.scale
    return mean / members, result


def _activated(kind: str, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if kind == "relu":
        return np.maximum(x, np.float32(0.0))
    exact = x.astype(np.float64)
    result: npt.NDArray[np.float32] = (0.5 * exact * (1.0 + erf(exact / np.sqrt(2.0)))).astype(
        np.float32
    )
    return result


def _activation_slope(kind: str, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if kind == "relu":
        return (x > 0).astype(np.float32)
    exact = x.astype(np.float64)
    density = np.exp(-0.5 * exact**2) / np.sqrt(2.0 * np.pi)
    result: npt.NDArray[np.float32] = (
        0.5 * (1.0 + erf(exact / np.sqrt(2.0))) + exact * density
    ).astype(np.float32)
    return result


def _head(
    network: NetworkEnsemble, outputs: Floats, native: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return cycles, and their derivatives by native cycles and by the output, ``(B,)`` each."""
    beside = native if network.residual else np.zeros_like(native)
    by_native = np.ones_like(native) if network.residual else np.zeros_like(native)
    if network.head == "cycles":
        cycles = beside + softplus(outputs) * network.target_scale
        return cycles, by_native, expit(SOFTPLUS_BETA * outputs) * network.target_scale
    factor = np.exp(outputs * network.target_scale + network.target_shift)
    cycles = factor * native if network.residual else factor
    return cycles, by_native * factor, cycles * network.target_scale
