"""Gaussian process with a Matern-5/2 kernel: exact fit, cached mean, low-rank deviation.

Inputs are taken as they are, so length scales and deep kernels are the caller's. A row's answer
does not depend on the rows beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, solve_triangular

from dse.errors import SpecError
from dse.learned.predictor import Arrays
from dse.learned.weights import checked
from dse.numeric import Floats

#: Rows that are asked for at a time: their distances to all points stay in the cache.
_CHUNK = 64
#: Directions that hold less of the points than this share of the widest are rounding.
_LEAST_SHARE = 1e-6
#: Columns of the root that the deviation rests on.
RANK = 96
#: Parts of the points, each left out once, that calibrate the deviation.
_PARTS = 5
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A process of zero mean, conditioned on N points of U numbers.

    Attributes:
        basis: ``(U, V)`` orthonormal; all points lie in what its V columns span.
        points: ``(N, V)``, over the length scales, in the basis.
        weights: ``(N,)`` inverse of the covariance times the targets.
        root: ``(N, R)``; ``k root`` squared and summed is what the points take off the prior
            variance, at most.
        variance: of the prior.
        noise: variance of the targets about it.
        factor: of the deviation, from calibration.
    """

    basis: Singles
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

        The factor is the root mean square of residuals over their deviations, outliers beyond 3.5
        deviations counted as 3.5: of each target given all others where the root is exact
        (leave-one-out: Rasmussen and Williams 2006, eq. 5.12), else of fifths given the rest.
        """
        lower = _lower(points, variance, noise)
        whole = cls._of(lower, points, targets, variance, noise)
        if len(points) <= RANK:
            inverse = (solve_triangular(lower, np.eye(len(points)), lower=True) ** 2).sum(axis=0)
            left_out = cho_solve((lower, True), targets) / np.sqrt(inverse)
        else:
            left_out = np.empty(len(points))
            parts = np.random.default_rng(0).permutation(len(points)) % _PARTS
            for part in range(_PARTS):
                out = parts == part
                some = _lower(points[~out], variance, noise)
                rest = cls._of(some, points[~out], targets[~out], variance, noise)
                mean, deviation = rest.predict(points[out])
                left_out[out] = (targets[out] - mean) / deviation
        capped = np.minimum(np.abs(left_out), 3.5)
        return replace(whole, factor=float(np.sqrt(np.mean(capped**2))))

    @classmethod
    def _of(
        cls, lower: Floats, points: Singles, targets: Floats, variance: float, noise: float
    ) -> GaussianProcess:
        """Condition, with the Cholesky factor of the targets' covariance; factor 1."""
        prior = lower @ lower.T
        prior.flat[:: len(prior) + 1] -= noise
        basis = _basis(points)
        return cls(
            basis=basis,
            points=points @ basis,
            weights=cho_solve((lower, True), targets).astype(np.float32),
            root=_root(lower, prior, min(RANK, len(points))).astype(np.float32),
            variance=variance,
            noise=noise,
            factor=1.0,
        )

    def predict(self, at: Singles) -> tuple[Floats, Floats]:
        """Return mean and deviation, of a recorded target, ``(B,)`` each, at ``(B, U)``."""
        from dse.learned.inference import product  # noqa: PLC0415 - compiled code

        mean, taken = np.empty(len(at)), np.empty(len(at))
        own = np.einsum("nv,nv->n", self.points, self.points)
        twice = np.ascontiguousarray(-2.0 * self.points.T)
        both = np.ascontiguousarray(np.column_stack([self.weights, self.root]))
        for first in range(0, len(at), _CHUNK):
            part = at[first : first + _CHUNK]
            # what of a row lies outside the basis is as far from all points
            distance = product(product(part, self.basis), twice, own)
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
            "gp.basis": self.basis,
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
        basis = checked(arrays, "gp.basis", np.float32, (width, None))
        points = checked(arrays, "gp.points", np.float32, (None, basis.shape[1]))
        count = len(points)
        weights = checked(arrays, "gp.weights", np.float32, (count,))
        root = checked(arrays, "gp.root", np.float32, (count, None))
        numbers = [float(n) for n in checked(arrays, "gp.numbers", np.float64, (3,))]
        if min(numbers) <= 0.0:
            raise SpecError(f"weights: 'gp.numbers' = {numbers}, expected numbers above 0")
        return cls(basis, points, weights, root, *numbers)


def _lower(points: Singles, variance: float, noise: float) -> Floats:
    """Return the Cholesky factor of the targets' covariance, ``(N, N)``."""
    exact = points.astype(np.float64)
    covariance = variance * matern(squares(exact, exact))
    covariance.flat[:: len(covariance) + 1] += noise
    lower: Floats = cholesky(covariance, lower=True)
    return lower


def _basis(points: Singles) -> Singles:
    """Return orthonormal directions, ``(U, V)``, that points ``(N, U)`` are sums of."""
    values, vectors = np.linalg.eigh(points.T.astype(np.float64) @ points)
    found = vectors[:, values > _LEAST_SHARE**2 * values[-1]]
    result: Singles = np.ascontiguousarray(found[:, ::-1], np.float32)
    return result


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
