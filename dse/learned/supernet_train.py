"""Training a supernet on digits, and its folder.

Every step learns from one batch with four networks, the largest, the smallest and two random ones,
of which all but the largest also learn from its answers (the sandwich rule with distillation: Yu et
al., ICCV 2019).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dse.disk import read_file, replace_file
from dse.errors import SpecError
from dse.extras import needed, torch_for
from dse.learned.digit_images import DigitImages, digit_images
from dse.learned.libraries import versions
from dse.learned.predictor import OnStep
from dse.learned.supernet import (
    SPACE,
    Channels,
    SharedWeights,
    channels_of,
    expected_shapes,
    forward,
    initial,
    largest,
    measured_accuracy,
    smallest,
    supernet_space,
)
from dse.settings import setting
from dse.state.entries import CheckedEntries

CARD, WEIGHTS = "supernet.json", "supernet.safetensors"
FORMAT = "dse-supernet-1"
PURPOSE = "the supernet of digits"
#: Training images by which a network's statistics are taken.
CALIBRATION = 256
_MOST_CARD, _MOST_WEIGHTS = 1 << 20, 1 << 28


@dataclass(frozen=True)
class SupernetSettings:
    """Settings of the training of a supernet."""

    epochs: int = setting(30, "how often every image is learned from")
    batch: int = setting(64, "images of a step")
    rate: float = setting(0.1, "learning rate at first; it falls to nothing along a cosine")
    decay: float = setting(1e-4, "weight decay")
    shift: int = setting(1, "pixels by which images are moved at random, at most")
    seed: int = setting(0, "of all randomness")


@dataclass(frozen=True)
class TrainedSupernet:
    """A supernet, with what its folder says of it.

    Attributes:
        weights: arrays by name.
        accuracies: of the largest, the smallest and the default network, on held-out images.
    """

    weights: dict[str, Any]
    settings: SupernetSettings
    accuracies: dict[str, float]


def train_supernet(settings: SupernetSettings, report: OnStep) -> TrainedSupernet:
    """Train a supernet.

    Args:
        settings: of the training.
        report: called after every epoch.

    Raises:
        SpecError: a setting is out of range.
        ToolError: PyTorch or scikit-learn is not installed.
    """
    _check(settings)
    space = supernet_space()
    train, held_out = digit_images()
    rng = np.random.default_rng(settings.seed)
    ends = [channels_of(space, find(space)) for find in (largest, smallest)]
    with torch_for(PURPOSE, settings.seed) as torch:
        weights = initial(torch, ends[0])
        for array in weights.values():
            array.requires_grad_(True)
        optimizer = torch.optim.SGD(
            weights.values(), settings.rate, momentum=0.9, nesterov=True,
            weight_decay=settings.decay,
        )  # fmt: skip
        steps = settings.epochs * (len(train.labels) // settings.batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for epoch in range(settings.epochs):
            order = rng.permutation(len(train.labels))
            for at in range(len(order) // settings.batch):
                chosen = order[at * settings.batch : (at + 1) * settings.batch]
                others = [channels_of(space, space.sample(rng)) for _ in range(2)]
                images = torch.from_numpy(_moved(train.images[chosen], settings.shift, rng))
                labels = torch.from_numpy(train.labels[chosen])
                optimizer.zero_grad()
                _learn(torch, weights, [ends[0], *others, ends[1]], images, labels)
                optimizer.step()
                schedule.step()
            report(epoch + 1, settings.epochs, "epochs")
        for array in weights.values():
            array.requires_grad_(False)
        told = {"largest": ends[0], "smallest": ends[1]}
        told["default"] = channels_of(space, space.defaults)
        accuracies = {
            name: _measured(torch, weights, channels, train, held_out)
            for name, channels in told.items()
        }
        plain = {name: array.numpy().copy() for name, array in weights.items()}
    return TrainedSupernet(plain, settings, accuracies)


def _learn(
    torch: Any,  # noqa: ANN401 - a module
    weights: SharedWeights,
    networks: list[Channels],
    images: Any,  # noqa: ANN401 - a tensor
    labels: Any,  # noqa: ANN401 - a tensor
) -> None:
    """Add up the gradients of a step: the first network teaches the others."""
    f = torch.nn.functional
    taught = None
    for channels in networks:
        answers, _ = forward(torch, weights, channels, images)
        loss = f.cross_entropy(answers, labels)
        if taught is not None:
            loss = loss + f.cross_entropy(answers, taught)
        loss.backward()
        if taught is None:
            taught = torch.softmax(answers.detach(), dim=1)


def _moved(images: Any, most: int, rng: np.random.Generator) -> Any:  # noqa: ANN401 - arrays
    """Return images moved by some pixels at random, with nothing where they were."""
    if not most:
        return images
    size = images.shape[-1]
    wide = np.pad(images, ((0, 0), (0, 0), (most, most), (most, most)))
    offsets = rng.integers(0, 2 * most + 1, (len(images), 2))
    return np.stack(
        [x[:, a : a + size, b : b + size] for x, (a, b) in zip(wide, offsets, strict=True)]
    )


def _measured(
    torch: Any,  # noqa: ANN401 - a module
    weights: SharedWeights,
    channels: Channels,
    train: DigitImages,
    held_out: DigitImages,
) -> float:
    calibration = torch.from_numpy(train.images[:CALIBRATION])
    images = torch.from_numpy(held_out.images)
    return measured_accuracy(torch, weights, channels, calibration, images, held_out.labels)


def save_supernet(folder: Path, trained: TrainedSupernet) -> None:
    """Write a supernet's folder; files of an older one in it are replaced.

    Raises:
        SpecError: a file stands in its place.
        DseError: it cannot be written.
        ToolError: safetensors is not installed.
    """
    save = needed("safetensors.numpy", PURPOSE).save
    if folder.exists() and not folder.is_dir():
        raise SpecError(f"{folder}: is a file, expected a folder")
    weights = save(trained.weights)
    card = {
        "format": FORMAT,
        "space": SPACE,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "accuracies": trained.accuracies,
        "settings": asdict(trained.settings),
        "versions": versions(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / WEIGHTS, weights)
    replace_file(folder / CARD, (json.dumps(card, indent=2) + "\n").encode())


def load_supernet(folder: Path) -> dict[str, Any]:
    """Return the weights of a supernet's folder, checked: it may be anyone's.

    Raises:
        SpecError: a file is missing, damaged, or of another space.
        ToolError: safetensors is not installed.
    """
    load = needed("safetensors.numpy", PURPOSE).load
    try:
        content = json.loads(read_file(folder / CARD, _MOST_CARD))
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{folder / CARD}: not JSON: {error}") from error
    entries = CheckedEntries(content, str(folder / CARD))
    for key, expected in (("format", FORMAT), ("space", SPACE)):
        if (found := entries.text(key)) != expected:
            entries.refuse(key, found, repr(expected))
    data = read_file(folder / WEIGHTS, _MOST_WEIGHTS)
    if hashlib.sha256(data).hexdigest() != entries.text("weights_sha256"):
        raise SpecError(f"{folder / WEIGHTS}: damaged: its checksum is not that of {CARD}")
    try:
        arrays: dict[str, Any] = dict(load(data))
    except Exception as error:  # the library's own, of no common base
        raise SpecError(f"{folder / WEIGHTS}: holds no weights: {error}") from error
    space = supernet_space()
    shapes = expected_shapes(channels_of(space, largest(space)))
    for name, shape in shapes.items():
        array = arrays.get(name)
        if array is None or array.shape != shape or array.dtype != np.float32:
            told = "nothing" if array is None else f"{array.dtype} of shape {array.shape}"
            raise SpecError(f"{folder / WEIGHTS}: {name} is {told}, expected float32 {shape}")
        if not np.isfinite(array).all():
            raise SpecError(f"{folder / WEIGHTS}: {name} holds a number that is not finite")
    return {name: arrays[name] for name in shapes}


def _check(s: SupernetSettings) -> None:
    for name, least in (("epochs", 1), ("batch", 8), ("shift", 0), ("seed", 0)):
        if getattr(s, name) < least:
            raise SpecError(f"{name} = {getattr(s, name)}, expected at least {least}")
    for name, most in (("rate", 10), ("decay", 1)):
        if not 0 <= getattr(s, name) <= most:
            raise SpecError(f"{name} = {getattr(s, name)}, expected 0 to {most}")
