"""Types of arrays, and of numbers in compiled code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

if TYPE_CHECKING:
    # the integers of compiled code have 64 bits; to the type checker they are plain ones
    def int64(value: float) -> int:
        """Return the value, rounded towards zero, as the signed integer of compiled code."""

    def uint64(value: int) -> int:
        """Return the value as an unsigned integer: seeds and their hashes wrap around."""

else:
    int64, uint64 = np.int64, np.uint64
