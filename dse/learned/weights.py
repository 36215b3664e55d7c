"""Arrays of a model's file, which may be anyone's: checked before compiled code sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError
from dse.learned.predictor import Arrays


def checked(
    arrays: Arrays, name: str, dtype: npt.DTypeLike, shape: tuple[int | None, ...]
) -> npt.NDArray[Any]:
    """Return an array of a model's file, of that type and shape, with finite numbers.

    Raises:
        SpecError: it is missing, or another.
    """
    found = arrays.get(name)
    fits = (
        found is not None
        and found.dtype == np.dtype(dtype)
        and found.ndim == len(shape)
        and all(n in (None, m) for n, m in zip(shape, found.shape, strict=True))
    )
    if found is None or not fits:
        lengths = ", ".join("any" if n is None else str(n) for n in shape)
        what = "none" if found is None else f"{found.dtype} of shape {found.shape}"
        raise SpecError(
            f"weights: '{name}' is {what}, expected {np.dtype(dtype)} of shape ({lengths})"
        )
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise SpecError(f"weights: '{name}' holds a number that is not finite")
    return np.ascontiguousarray(found)
