"""A weight-sharing supernet: one set of weights that holds every network of a space.

After once-for-all's ResNets (Cai et al., ICLR 2020): a network has the first channels of every
layer and the first blocks of every stage. The space is the built-in ``ofa_digits``; channel numbers
are those of its file, so what is trained is what is mapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError
from dse.space import catalog
from dse.space.network_space import NetworkSpace
from dse.space.variable import Values

#: The space whose networks a supernet holds.
SPACE = "ofa_digits"
CLASSES = 10
_STAGES, _BLOCKS = 3, 3
#: Statistics of normalisation by layer: a mean and a variance per channel.
Statistics = dict[str, tuple[Any, Any]]
SharedWeights = dict[str, Any]


@dataclass(frozen=True)
class Channels:
    """The sizes of one network.

    Attributes:
        image: width and height.
        stem: channels of the first convolution.
        stages: for each stage its channels, and the inner channels of its blocks.
    """

    image: int
    stem: int
    stages: tuple[tuple[int, tuple[int, ...]], ...]


def supernet_space() -> NetworkSpace:
    """Return the built-in space, nothing in it fixed."""
    found = catalog.networks(SPACE)
    if not isinstance(found, NetworkSpace):
        raise SpecError(f"workload '{SPACE}': expected a space of networks")
    return found


def channels_of(space: NetworkSpace, values: Mapping[str, int]) -> Channels:
    """Return the sizes of a network, by the arithmetic of the space's file.

    Raises:
        SpecError: the space is not the built-in one, or one like it.
    """
    try:
        numbers = space.environment(values)
        stages = tuple(
            (
                int(numbers[f"out_{stage + 1}"]),
                tuple(
                    int(numbers[f"mid_{_BLOCKS * stage + block + 1}"])
                    for block in range(int(numbers[f"depth_{stage + 1}"]))
                ),
            )
            for stage in range(_STAGES)
        )
        return Channels(int(numbers["image"]), int(numbers["stem"]), stages)
    except KeyError as error:
        raise SpecError(
            f"workload '{space.name}': has no {error.args[0]}; accuracy = digits goes with {SPACE}"
        ) from error


def largest(space: NetworkSpace) -> Values:
    """Return the network with everything that any other has."""
    return space.canonical({v.name: v.maximum for v in space.variables})


def smallest(space: NetworkSpace) -> Values:
    """Return the network whose variables are all at their least."""
    return space.canonical({v.name: v.minimum for v in space.variables})


def convolutions(channels: Channels) -> dict[str, tuple[int, int, int]]:
    """Return outputs, inputs and window of every convolution of a network, by its layer's name."""
    found = {"stem": (channels.stem, 1, 3)}
    inputs = channels.stem
    for stage, (outputs, inner) in enumerate(channels.stages, 1):
        for block, middle in enumerate(inner):
            name = f"layer{stage}.{block}"
            found[f"{name}.conv1"] = (middle, inputs, 1)
            found[f"{name}.conv2"] = (middle, middle, 3)
            found[f"{name}.conv3"] = (outputs, middle, 1)
            if block == 0:
                found[f"{name}.downsample"] = (outputs, inputs, 1)
            inputs = outputs
    return found


def initial(torch: Any, channels: Channels) -> SharedWeights:  # noqa: ANN401 - a module
    """Return random weights of the largest network (He et al., ICCV 2015)."""
    weights: SharedWeights = {}
    for name, (outputs, inputs, window) in convolutions(channels).items():
        deviation = (2.0 / (inputs * window * window)) ** 0.5
        weights[f"{name}.weight"] = torch.randn(outputs, inputs, window, window) * deviation
        # what ends a block begins at nothing: blocks are left out at first (Goyal et al., 2017)
        scale = torch.zeros if name.endswith("conv3") else torch.ones
        weights[f"{name}.scale"] = scale(outputs)
        weights[f"{name}.shift"] = torch.zeros(outputs)
    width = channels.stages[-1][0]
    weights["fc.weight"] = torch.randn(CLASSES, width) * (1.0 / width) ** 0.5
    weights["fc.bias"] = torch.zeros(CLASSES)
    return weights


def expected_shapes(channels: Channels) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array of weights of a network."""
    found: dict[str, tuple[int, ...]] = {}
    for name, (outputs, inputs, window) in convolutions(channels).items():
        found[f"{name}.weight"] = (outputs, inputs, window, window)
        found[f"{name}.scale"] = found[f"{name}.shift"] = (outputs,)
    found["fc.weight"] = (CLASSES, channels.stages[-1][0])
    found["fc.bias"] = (CLASSES,)
    return found


def forward(
    torch: Any,  # noqa: ANN401 - a module
    weights: SharedWeights,
    channels: Channels,
    images: Any,  # noqa: ANN401 - a tensor
    known: Statistics | None = None,
) -> tuple[Any, Statistics]:
    """Return the network's answers, and the statistics that its layers were normalised by.

    Args:
        torch: the library.
        weights: of the largest network.
        channels: of the network.
        images: ``(B, 1, 8, 8)``.
        known: statistics; None: those of these images.

    Returns:
        Answers ``(B, 10)`` before a softmax.
    """
    f = torch.nn.functional
    statistics: Statistics = {}

    def normalised(x: Any, name: str) -> Any:  # noqa: ANN401 - tensors
        outputs = x.shape[1]
        if known is None:
            variance, mean = torch.var_mean(x, dim=(0, 2, 3), unbiased=False)
            statistics[name] = (mean.detach(), variance.detach())
        else:
            mean, variance = known[name]
        factor = weights[f"{name}.scale"][:outputs] / torch.sqrt(variance + 1e-5)
        offset = weights[f"{name}.shift"][:outputs] - mean * factor
        return x * factor[:, None, None] + offset[:, None, None]

    def layer(x: Any, name: str, outputs: int, stride: int = 1) -> Any:  # noqa: ANN401 - tensors
        weight = weights[f"{name}.weight"][:outputs, : x.shape[1]]
        padding = weight.shape[-1] // 2
        return normalised(f.conv2d(x, weight, stride=stride, padding=padding), name)

    size = (channels.image, channels.image)
    x = f.interpolate(images, size=size, mode="bilinear", align_corners=False)
    x = f.relu(layer(x, "stem", channels.stem))
    for stage, (outputs, inner) in enumerate(channels.stages, 1):
        for block, middle in enumerate(inner):
            name = f"layer{stage}.{block}"
            stride = 2 if block == 0 and stage > 1 else 1
            y = f.relu(layer(x, f"{name}.conv1", middle))
            y = f.relu(layer(y, f"{name}.conv2", middle, stride))
            y = layer(y, f"{name}.conv3", outputs)
            if block == 0:
                x = f.avg_pool2d(x, 2, ceil_mode=True) if stride == 2 else x
                x = layer(x, f"{name}.downsample", outputs)
            x = f.relu(x + y)
    pooled = x.mean(dim=(2, 3))
    weight = weights["fc.weight"][:, : pooled.shape[1]]
    return pooled @ weight.T + weights["fc.bias"], statistics


def measured_accuracy(
    torch: Any,  # noqa: ANN401 - a module
    weights: SharedWeights,
    channels: Channels,
    calibration: Any,  # noqa: ANN401 - a tensor
    images: Any,  # noqa: ANN401 - a tensor
    labels: npt.NDArray[np.int64],
) -> float:
    """Return the share of images that a network classifies rightly.

    Args:
        torch: the library.
        weights: of the supernet.
        channels: of the network.
        calibration: images by which its layers' statistics are taken, as once-for-all does: shared
            weights have none that would suit all networks.
        images: to classify, none of them seen in training.
        labels: of these.
    """
    with torch.no_grad():
        _, statistics = forward(torch, weights, channels, calibration)
        answers, _ = forward(torch, weights, channels, images, statistics)
    found = answers.argmax(dim=1).numpy()
    return float((found == labels).mean())
