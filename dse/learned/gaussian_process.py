"""Gaussian process with a Matern-5/2 kernel: exact fit, cached mean, low-rank deviation.

Inputs are taken as they are, so length scales and deep kernels are the caller's. A row's answer
does not depend on the rows beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, solve_triangular

from dse.errors import SpecError
from dse.learned.predictor import Arrays
from dse.learned.weights import checked
from dse.numeric import Floats

#: Rows of one matrix product: what bounds the memory.
CHUNK = 512
#: Columns of the root that the deviation rests on.
RANK = 160
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A process of zero mean, conditioned on N points of U numbers.

    Attributes:
        points: ``(N, U)``, over the length scales.
        weights: ``(N,)`` inverse of the covariance times the targets.
        root: ``(N, R)``; ``k root`` squared and summed is what the points take off the prior
            variance, at most.
        variance: of the prior.
        noise: variance of the targets about it.
        factor: of the deviation, from calibration.
    """

    points: Singles
    weights: Singles
    root: Singles
    variance: float
    noise: float
    factor: float

    @classmethod
    def conditioned(
        cls, points: Singles, targets: Floats, variance: float, noise: float
    ) -> GaussianProcess:
        """Condition on targets ``(N,)``, and calibrate the deviation on what is left out.

        The factor is the root mean square of the residuals over their deviations that each target
        has, given all others (leave-one-out: Rasmussen and Williams 2006, eq. 5.12), outliers
        beyond 3.5 deviations counted as 3.5.
        """
        count = len(points)
        prior = variance * matern(squares(points.astype(np.float64), points.astype(np.float64)))
        lower = cholesky(prior + noise * np.eye(count), lower=True)
        weights = cho_solve((lower, True), targets)
        inverse = (solve_triangular(lower, np.eye(count), lower=True) ** 2).sum(axis=0)
        left_out = np.clip(np.abs(weights / np.sqrt(inverse)), 0.0, 3.5)
        factor = float(np.sqrt(np.mean(left_out**2)))
        return cls(
            points=points,
            weights=weights.astype(np.float32),
            root=_root(lower, prior, min(RANK, count)).astype(np.float32),
            variance=variance,
            noise=noise,
            factor=factor,
        )

    def predict(self, at: Singles) -> tuple[Floats, Floats]:
        """Return mean and deviation, of a recorded target, ``(B,)`` each, at ``(B, U)``."""
        from dse.learned.inference import product  # noqa: PLC0415 - compiled code

        mean, taken = np.empty(len(at)), np.empty(len(at))
        own = np.einsum("nu,nu->n", self.points, self.points)
        twice = np.ascontiguousarray(-2.0 * self.points.T)
        both = np.ascontiguousarray(np.column_stack([self.weights, self.root]))
        for first in range(0, len(at), CHUNK):
            part = at[first : first + CHUNK]
            distance = product(part, twice, own)
            distance += np.einsum("bu,bu->b", part, part)[:, None]
            found = product(matern(distance), both)
            mean[first : first + len(part)] = found[:, 0]
            taken[first : first + len(part)] = np.einsum("br,br->b", found[:, 1:], found[:, 1:])
        variance = np.maximum(self.variance - self.variance**2 * taken, 0.0) + self.noise
        return mean * self.variance, np.sqrt(variance) * self.factor

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return its arrays by name."""
        numbers = np.array([self.variance, self.noise, self.factor])
        return {
            "gp.points": self.points,
            "gp.weights": self.weights,
            "gp.root": self.root,
            "gp.numbers": numbers,
        }

    @classmethod
    def load(cls, arrays: Arrays, width: int) -> GaussianProcess:
        """Take it from arrays that may be anyone's.

        Raises:
            SpecError: they are not those of a process over inputs of this width.
        """
        points = checked(arrays, "gp.points", np.float32, (None, width))
        count = len(points)
        weights = checked(arrays, "gp.weights", np.float32, (count,))
        root = checked(arrays, "gp.root", np.float32, (count, None))
        numbers = [float(n) for n in checked(arrays, "gp.numbers", np.float64, (3,))]
        if min(numbers) <= 0.0:
            raise SpecError(f"weights: 'gp.numbers' = {numbers}, expected numbers above 0")
        return cls(points, weights, root, *numbers)


def squares(a: Floats, b: Floats) -> Floats:
    """Return the squared distances of ``(A, U)`` and ``(B, U)``, ``(A, B)``."""
    distance = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * a @ b.T
    result: Floats = np.maximum(distance, 0.0)
    return result


def matern(square: npt.NDArray[np.floating]) -> Any:  # noqa: ANN401 - of the argument's type
    """Return the Matern-5/2 kernel of squared distances, which it overwrites."""
    kind = square.dtype.type
    np.maximum(square, kind(0), out=square)
    square *= kind(5)
    root = np.sqrt(square)
    square *= kind(1 / 3)
    square += root
    square += kind(1)
    np.negative(root, out=root)
    np.exp(root, out=root)
    square *= root
    return square


def _root(lower: Floats, prior: Floats, rank: int) -> Floats:
    """Return the best root of that rank for the variances at points such as the training ones.

    The directions are those in which the points explain each other most: leading eigenvectors of
    ``L^-1 K K L^-T``, by iteration of a subspace; what is left out makes deviations too large,
    never too small.
    """
    basis = np.random.default_rng(0).standard_normal((len(lower), rank))
    for _ in range(3):
        image = prior @ solve_triangular(lower, basis, lower=True, trans="T")
        basis, _ = np.linalg.qr(solve_triangular(lower, prior @ image, lower=True))
    root: Floats = solve_triangular(lower, basis, lower=True, trans="T")
    return root
