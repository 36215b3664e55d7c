"""The images that supernets learn from: scikit-learn's digits, split once and for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.extras import needed

#: Images held out, never learned from; the split is the same for all supernets.
HELD_OUT = 600
_SPLIT_SEED = 0


@dataclass(frozen=True)
class DigitImages:
    """Images ``(N, 1, 8, 8)`` with values from 0 to 1, and their labels ``(N,)``."""

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


def digit_images() -> tuple[DigitImages, DigitImages]:
    """Return the images to learn from, and those held out.

    Raises:
        ToolError: scikit-learn is not installed.
    """
    datasets = needed("sklearn.datasets", "the supernet of digits")
    data = datasets.load_digits()
    images = (data.images / 16.0).astype(np.float32)[:, None]
    labels = data.target.astype(np.int64)
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(labels))
    held, rest = order[:HELD_OUT], order[HELD_OUT:]
    return DigitImages(images[rest], labels[rest]), DigitImages(images[held], labels[held])
