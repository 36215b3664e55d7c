"""The problems that a twin knows, as the compiled code reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.problem import Problem
from dse.errors import SpecError


class Structure(NamedTuple):
    """P problems, padded to D dimensions, T tensors and Q rows.

    Attributes:
        projection: ``(P, T, Q, D)`` coefficients.
        row: ``(P, T, D)`` the row in which a dimension stands, -1: in none.
        read_write: ``(P, T)``.
    """

    projection: npt.NDArray[np.float64]
    row: npt.NDArray[np.int64]
    read_write: npt.NDArray[np.bool_]


def structure_of(problems: Sequence[Problem]) -> Structure:
    """Return the structure of problems.

    Raises:
        SpecError: a dimension stands in two rows of a tensor (a diagonal), or a coefficient is
            negative: the twin knows no such tensors.
    """
    dimensions = max(len(p.dimensions) for p in problems)
    tensors, ranks = (max(p.projection.shape[axis] for p in problems) for axis in (0, 1))
    projection = np.zeros((len(problems), tensors, ranks, dimensions))
    read_write = np.zeros((len(problems), tensors), np.bool_)
    for i, problem in enumerate(problems):
        c = problem.projection
        if (c < 0).any() or ((c != 0).sum(axis=1) > 1).any():
            raise SpecError(
                f"shape '{problem.shape.name}': the differentiable model needs projections in "
                "which each dimension of a tensor stands in one row, with a coefficient above 0"
            )
        projection[i, : c.shape[0], : c.shape[1], : c.shape[2]] = c
        read_write[i, : c.shape[0]] = problem.read_write
    there = projection > 0
    row = np.where(there.any(axis=2), there.argmax(axis=2), -1)
    return Structure(projection, row.astype(np.int64), read_write)
