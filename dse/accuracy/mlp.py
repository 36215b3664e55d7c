"""Accuracies from a network of one's own that predicts them, such as once-for-all's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any
from zipfile import BadZipFile

import numpy as np
from pydantic import Field

from dse.errors import SpecError
from dse.extras import needed
from dse.files import read_yaml, validated
from dse.numeric import Floats
from dse.space.accuracy import AccuracyPredictor
from dse.space.network_space import NetworkSpace
from dse.space.network_spec import PREFIX
from dse.space.schema import Strict

#: Largest number of weights of a predictor.
_MOST_WEIGHTS = 100_000_000


class FeatureSpec(Strict):
    """A stretch of the input: for each variable, one number for each of some values.

    The number of the value that the network has is 1, the others are 0; all are 0 where the
    variable changes nothing.

    Attributes:
        variable: its name; ``*`` stands for any characters, and for all such variables in the order
            of the space's file.
        values: in the order of the input.
    """

    variable: str
    values: Annotated[tuple[float, ...], Field(min_length=1)]


class PredictorSpec(Strict):
    """A predictor's file.

    Attributes:
        weights: file of the weights beside it: .npz, .safetensors, or PyTorch's .pth or .pt.
        features: what the input is made of.
        offset: name of an array of one number that is added to the output; None: none is.
        scale: what the output is multiplied with to be a share: 0.01 of percent.
    """

    weights: str
    features: Annotated[tuple[FeatureSpec, ...], Field(min_length=1)]
    offset: str | None = None
    scale: float = Field(default=1.0, gt=0)


@dataclass(frozen=True)
class _DenseLayer:
    weight: Floats
    bias: Floats | None


class MlpAccuracy(AccuracyPredictor):
    """A perceptron of one's own: layers of weights with ReLU in between, inputs of ones and zeros.

    A file of YAML says where the weights are and what the inputs mean. Networks with a value that
    no input stands for have no accuracy.
    """

    def __init__(self, networks: NetworkSpace, argument: str) -> None:
        super().__init__(networks, argument)
        path, weights = self.files(argument)
        spec = validated(PredictorSpec, read_yaml(path), str(path))
        self._features = [
            (name, feature.values)
            for number, feature in enumerate(spec.features)
            for name in _named(networks, feature, f"{path}: features[{number}]")
        ]
        arrays = _arrays(weights)
        self._offset = 0.0
        if spec.offset is not None:
            offset = arrays.pop(spec.offset, np.zeros(0))
            if offset.size != 1:
                raise SpecError(f"{path}: offset = {spec.offset}: {weights} has no such number")
            self._offset = float(offset.reshape(()))
        self._scale = spec.scale
        inputs = sum(len(values) for _, values in self._features)
        self._layers = _layers(arrays, inputs, weights)

    @classmethod
    def files(cls, argument: str) -> list[Path]:
        """See :meth:`dse.space.accuracy.AccuracyPredictor.files`."""
        if not argument:
            raise SpecError("accuracy = mlp: expected mlp:FILE, a YAML file")
        path = Path(argument).expanduser()
        spec = validated(PredictorSpec, read_yaml(path), str(path))
        return [path, path.parent / spec.weights]

    def predict(self, values: Mapping[str, int]) -> float:
        """See :meth:`dse.space.accuracy.AccuracyPredictor.predict`."""
        x = self._input(values)
        if x is None:
            return math.nan
        for layer in self._layers:
            # no BLAS: its sums depend on the machine's threads
            x = (layer.weight * np.maximum(x, 0.0)).sum(axis=1)
            if layer.bias is not None:
                x = x + layer.bias
        return (float(x[0]) + self._offset) * self._scale

    def why_none(self, values: Mapping[str, int]) -> str:
        """See :meth:`dse.space.accuracy.AccuracyPredictor.why_none`."""
        numbers = self.networks.numbers(values)
        told = ", ".join(
            f"{name}={numbers[name]:g}"
            for name, known in self._features
            if numbers[name] not in known and self.networks.active(values, name)
        )
        return f"{self.argument} has no input for {told}"

    def _input(self, values: Mapping[str, int]) -> Floats | None:
        """Return the input of ones and zeros; None where a value has no place in it."""
        numbers = self.networks.numbers(values)
        parts = []
        for name, known in self._features:
            part = np.zeros(len(known))
            if self.networks.active(values, name):
                if numbers[name] not in known:
                    return None
                part[known.index(numbers[name])] = 1.0
            parts.append(part)
        return np.concatenate(parts)


def _named(networks: NetworkSpace, feature: FeatureSpec, place: str) -> list[str]:
    names = [v.name.removeprefix(PREFIX) for v in networks.variables]
    found = [name for name in names if fnmatchcase(name, feature.variable)]
    if not found:
        known = ", ".join(names)
        raise SpecError(f"{place}: variable = {feature.variable}: the space has {known}")
    return found


def _arrays(path: Path) -> dict[str, Floats]:
    """Return the arrays of a file of weights, by name and in order."""
    if not path.is_file():
        raise SpecError(f"{path}: there is no such file of weights")
    loaded: dict[str, Any]
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                loaded = {name: file[name] for name in file.files}
        elif path.suffix == ".safetensors":
            loaded = needed("safetensors.numpy", f"accuracy weights {path}").load_file(path)
        elif path.suffix in (".pth", ".pt"):
            loaded = _of_torch(path)
        else:
            raise SpecError(f"{path}: expected weights in .npz, .safetensors, .pth or .pt")
    except (ValueError, OSError, KeyError, BadZipFile) as error:
        raise SpecError(f"{path}: holds no weights: {str(error).splitlines()[0]}") from error
    return {name: np.asarray(array, np.float64) for name, array in loaded.items()}


def _of_torch(path: Path) -> dict[str, Any]:
    """Return the arrays of PyTorch's file; nothing else in it is read."""
    torch = needed("torch", f"accuracy weights {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the library's own, of no common base
        raise SpecError(f"{path}: holds no weights: {str(error).splitlines()[0]}") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(torch.is_tensor(x) for x in content.values()):
        raise SpecError(f"{path}: holds {type(content).__name__}, expected arrays by name")
    return {name: tensor.double().numpy() for name, tensor in content.items()}


def _layers(arrays: dict[str, Floats], inputs: int, path: Path) -> list[_DenseLayer]:
    """Return the layers in the order of the file: ``NAME.weight`` and perhaps ``NAME.bias``."""
    layers = []
    width = inputs
    left = dict(arrays)
    for name in [name for name in arrays if name.endswith("weight")]:
        weight = left.pop(name)
        bias = left.pop(name.removesuffix("weight") + "bias", None)
        if weight.ndim != 2 or weight.shape[1] != width or weight.size > _MOST_WEIGHTS:
            raise SpecError(f"{path}: {name} has shape {weight.shape}, expected (any, {width})")
        width = len(weight)
        if bias is not None and bias.shape != (width,):
            raise SpecError(f"{path}: bias of {name} has shape {bias.shape}, expected ({width},)")
        layers.append(_DenseLayer(weight, bias))
    if left:
        raise SpecError(f"{path}: '{min(left)}' is neither a weight nor the bias of one")
    if width != 1 or not layers:
        raise SpecError(f"{path}: has {width} outputs, expected 1")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise SpecError(f"{path}: holds a number that is not finite")
    return layers
