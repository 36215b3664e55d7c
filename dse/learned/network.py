"""Networks as numbers: an ensemble of multilayer perceptrons, and what becomes of their outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError
from dse.learned.predictor import Arrays, Prediction
from dse.learned.weights import checked
from dse.numeric import Flags, Floats, Ints
from dse.state.entries import CheckedEntries

#: How many scaled units beyond the training rows' mean a feature is believed.
_FURTHEST = 3.0
_MOST_LAYERS, _MOST_MEMBERS = 32, 100
#: Rows that are taken at a time: what bounds the memory.
_CHUNK = 4096
#: DOSA's output: softplus with this slope.
SOFTPLUS_BETA = 5.0
ACTIVATIONS = {"relu": 1, "gelu": 2}
HEADS = ("gaussian", "cycles")


@dataclass(frozen=True, eq=False)
class NetworkEnsemble:
    """An ensemble of M networks on scaled features.

    Attributes:
        columns: ``(I,)`` which features they take.
        shift, scale: ``(I,)`` a feature x becomes ``(x - shift) / scale``.
        weights: one array ``(M, inputs, outputs)`` a layer.
        biases: one array ``(M, outputs)`` a layer.
        activation: between layers, of :data:`ACTIVATIONS`.
        head: ``gaussian``: outputs are a mean and the logarithm of a variance, in units of
            ``target_scale`` about ``target_shift``, of ln cycles or their residual. ``cycles``:
            softplus of the only output, times ``target_scale``, are cycles (DOSA's).
        residual: whether the outputs are what recorded cycles are beside the native model's.
        target_shift, target_scale: see ``head``.
        deviation: gaussian: what the members' own deviation is multiplied by, to which that between
            them adds; cycles: the deviation itself.
    """

    columns: Ints
    shift: Floats
    scale: Floats
    weights: tuple[npt.NDArray[np.float32], ...]
    biases: tuple[npt.NDArray[np.float32], ...]
    activation: str
    head: str
    residual: bool
    target_shift: float
    target_scale: float
    deviation: float

    def inputs(self, features: Floats) -> tuple[npt.NDArray[np.float32], Flags]:
        """Return the scaled features, ``(B, I)``, and which of them are not cut off."""
        scaled = (features[:, self.columns] - self.shift) / self.scale
        inside = np.ones(scaled.shape, np.bool_)
        if self.head == "gaussian":
            inside = np.abs(scaled) <= _FURTHEST
            scaled = np.clip(scaled, -_FURTHEST, _FURTHEST)
        return np.ascontiguousarray(scaled, np.float32), inside

    def outputs(self, features: Floats) -> Floats:
        """Return the outputs of all members for a chunk of rows, ``(M, B, O)``."""
        from dse.learned.inference import NONE, product  # noqa: PLC0415 - compiled

        inputs, _ = self.inputs(features)
        found = []
        last = len(self.weights) - 1
        for m in range(len(self.weights[0])):
            x = inputs
            for i, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
                kind = NONE if i == last else ACTIVATIONS[self.activation]
                x = product(x, weights[m], biases[m], kind)
            found.append(x.astype(np.float64))
        return np.stack(found)

    def predict(self, features: Floats, ln_native: Floats) -> Prediction:
        """See :meth:`dse.learned.predictor.Predictor.predict`."""
        mean, deviation = np.empty(len(features)), np.empty(len(features))
        for at in range(0, len(features), _CHUNK):
            part = slice(at, at + _CHUNK)
            mean[part], deviation[part] = self._predict(features[part], ln_native[part])
        return Prediction(mean, deviation)

    def _predict(self, features: Floats, ln_native: Floats) -> tuple[Floats, Floats]:
        outputs = self.outputs(features)
        known = ~np.isnan(ln_native)
        if self.head == "cycles":
            cycles = softplus(outputs[:, :, 0].mean(axis=0)) * self.target_scale
            if self.residual:
                cycles = cycles + np.exp(ln_native)
            return np.log(np.maximum(cycles, 1.0)), np.where(known, self.deviation, np.nan)
        means = outputs[:, :, 0] * self.target_scale + self.target_shift
        within = np.exp(np.clip(outputs[:, :, 1], *LOG_VARIANCE)).mean(axis=0)
        mean = means.mean(axis=0)
        within *= (self.target_scale * self.deviation) ** 2
        deviation = np.sqrt(within + ((means - mean) ** 2).mean(axis=0))
        if self.residual:
            mean = mean + ln_native
        return np.where(known, mean, np.nan), np.where(known, deviation, np.nan)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all numbers by name."""
        found: dict[str, npt.NDArray[Any]] = {
            "columns": self.columns,
            "shift": self.shift,
            "scale": self.scale,
        }
        for i, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            found[f"layer{i}.weights"], found[f"layer{i}.biases"] = weights, biases
        return found

    @property
    def facts(self) -> dict[str, Any]:
        """What is to be known beside the arrays."""
        return {
            "layers": len(self.weights),
            "members": len(self.weights[0]),
            "activation": self.activation,
            "head": self.head,
            "target_shift": self.target_shift,
            "target_scale": self.target_scale,
            "deviation": self.deviation,
        }

    @classmethod
    def load(
        cls, arrays: Arrays, facts: CheckedEntries, features: int, *, residual: bool
    ) -> NetworkEnsemble:
        """Build it again; see :meth:`dse.learned.predictor.Predictor.load`.

        Raises:
            SpecError: the numbers are not those of such a network.
        """
        layers = facts.integer("layers", 1, _MOST_LAYERS)
        members = facts.integer("members", 1, _MOST_MEMBERS)
        activation, head = facts.text("activation"), facts.text("head")
        if activation not in ACTIVATIONS:
            facts.refuse("activation", activation, f"one of {', '.join(ACTIVATIONS)}")
        if head not in HEADS:
            facts.refuse("head", head, f"one of {', '.join(HEADS)}")
        columns = checked(arrays, "columns", np.int64, (None,))
        width: int | None = len(columns)
        if ((columns < 0) | (columns >= features)).any():
            raise SpecError(f"weights: 'columns' beyond the {features} features")
        shift = checked(arrays, "shift", np.float64, (width,))
        scale = checked(arrays, "scale", np.float64, (width,))
        if (scale == 0).any():
            raise SpecError("weights: 'scale' has a 0")
        weights, biases = [], []
        for i in range(layers):
            wanted = None if i < layers - 1 else (2 if head == "gaussian" else 1)
            layer = checked(arrays, f"layer{i}.weights", np.float32, (members, width, wanted))
            width = layer.shape[2]
            weights.append(layer)
            biases.append(checked(arrays, f"layer{i}.biases", np.float32, (members, width)))
        return cls(
            *(columns, shift, scale, tuple(weights), tuple(biases), activation, head, residual),
            *(facts.number(k, finite=True) for k in ("target_shift", "target_scale", "deviation")),
        )


#: The logarithm of a variance is kept in this range.
LOG_VARIANCE = (-6.0, 4.0)


def softplus(x: Floats) -> Floats:
    """Return ``ln(1 + exp(beta x)) / beta``, as PyTorch's with DOSA's beta."""
    scaled = SOFTPLUS_BETA * x
    result: Floats = np.logaddexp(0.0, scaled) / SOFTPLUS_BETA
    return result
