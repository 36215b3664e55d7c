"""Many independent CMA-ES searches of one size, advanced together.

The rules are those of Hansen's tutorial (arXiv 1604.00772), in the form of the library ``cmaes``,
whose ``CMA`` (full covariance) and ``SepCMA`` (diagonal, Ros and Hansen 2008) this equals step by
step; the library runs one search at a time, a mapper needs hundreds. Equation numbers are the
tutorial's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dse.numeric import Floats, Indices

_EPS = 1e-8
#: Step sizes are kept below this, as the library does.
_SIGMA_MAX = 1e32
COVARIANCES = ("full", "diagonal")


@dataclass(frozen=True)
class _Rates:
    """Weights and learning rates for n numbers and a population of P.

    Attributes:
        weights: ``(P,)``, positive for the parents; diagonal covariances use no others.
        parents: how many make the new mean.
        mu_eff: variance-effective number of parents.
        c_1, c_mu: of the rank-one and the rank-mu update.
        c_sigma, d_sigma: of the step size's path, and its damping.
        c_c: of the covariance's path.
        chi: expected length of a normal vector.
    """

    weights: Floats
    parents: int
    mu_eff: float
    c_1: float
    c_mu: float
    c_sigma: float
    d_sigma: float
    c_c: float
    chi: float


def _rates(n: int, population: int, covariance: str) -> _Rates:
    """Return the tutorial's defaults (eq. 48 to 56), or SepCMA's for a diagonal covariance."""
    parents = population // 2
    diagonal = covariance == "diagonal"
    rank = np.log(np.arange(population) + 1.0)
    raw = math.log(parents + 1 if diagonal else (population + 1) / 2) - rank
    mu_eff = float(raw[:parents].sum() ** 2 / (raw[:parents] ** 2).sum())
    c_1 = 2 / ((n + 1.3) ** 2 + mu_eff)
    if diagonal:
        weights = np.where(np.arange(population) < parents, raw / raw[:parents].sum(), 0.0)
        spread = min(1.0, (2 * mu_eff - 1) / ((n + 2) ** 2 + mu_eff))
        c_mu = (n + 2) / 3 * (2 / mu_eff / (n + math.sqrt(2)) ** 2 + (1 - 1 / mu_eff) * spread)
        c_sigma = (mu_eff + 2) / (n + mu_eff + 3)
        c_c = 4 / (n + 4)
    else:
        c_mu = min(1 - c_1 - 1e-8, 2 * (mu_eff - 2 + 1 / mu_eff) / ((n + 2) ** 2 + mu_eff))
        weights = _signed(raw, n, parents, mu_eff, c_1, c_mu)
        c_sigma = (mu_eff + 2) / (n + mu_eff + 5)
        c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)
    d_sigma = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma
    chi = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))
    return _Rates(weights, parents, mu_eff, c_1, c_mu, c_sigma, d_sigma, c_c, chi)


def _signed(raw: Floats, n: int, parents: int, mu_eff: float, c_1: float, c_mu: float) -> Floats:
    """Return the weights of an active update: those of the worse half are negative (eq. 50-53)."""
    worse = float(raw[parents:].sum() ** 2 / (raw[parents:] ** 2).sum())
    alpha = min(1 + c_1 / c_mu, 1 + 2 * worse / (mu_eff + 2), (1 - c_1 - c_mu) / (n * c_mu))
    positive, negative = raw[raw > 0].sum(), -raw[raw < 0].sum()
    signed: Floats = np.where(raw >= 0, raw / positive, alpha * raw / negative)
    return signed


class Strategies:
    """S searches; searches are rows of every array.

    Args:
        mean: ``(S, n)`` where they start.
        sigma: first step size.
        population: P candidates per generation.
        covariance: ``full``, or ``diagonal``: cheaper, and faster to learn for small budgets.
        low, high: box of the candidates.

    Attributes:
        mean: ``(S, n)``.
        sigma: ``(S,)``.
        cov: ``(S, n, n)``, or ``(S, n)`` where diagonal.
    """

    def __init__(
        self,
        mean: Floats,
        sigma: float,
        population: int,
        covariance: str = "full",
        low: float = 0.0,
        high: float = 1.0,
    ) -> None:
        self._first, self._sigma0 = mean.copy(), sigma
        self.rates = _rates(mean.shape[1], population, covariance)
        self.population = population
        self._diagonal = covariance == "diagonal"
        self._low, self._high = low, high
        self.mean = mean.copy()
        searches, n = mean.shape
        self.sigma = np.full(searches, sigma)
        self.cov = (
            np.ones((searches, n)) if self._diagonal else np.tile(np.eye(n), (searches, 1, 1))
        )
        self._path_sigma, self._path_c = np.zeros_like(mean), np.zeros_like(mean)
        self._generation = np.zeros(searches, np.int64)
        self._axes: tuple[Floats, Floats] | None = None

    def __len__(self) -> int:
        return len(self.mean)

    def distribution(self) -> tuple[Floats, Floats, Floats, float, float]:
        """Return what candidates are drawn from.

        Returns:
            mean ``(S, n)``; standard deviation along each axis, ``(S, n)``; directions of the axes,
            ``(S, n, n)``, or ``(0, n, n)`` where they are those of the numbers; and the box:
            candidates beyond it are put on its border.
        """
        scale, basis = self._decomposed()
        if self._diagonal:
            basis = np.empty((0, scale.shape[1], scale.shape[1]))
        return self.mean, self.sigma[:, None] * scale, basis, self._low, self._high

    def update(self, x: Floats, value: Floats) -> None:
        """Learn from a generation.

        Args:
            x: ``(S, P, n)`` candidates.
            value: ``(S, P)`` what they are worth, smaller is better; infinite: not valid.
        """
        r = self.rates
        scale, basis = self._decomposed()
        self._axes = None
        self._generation += 1
        order = np.argsort(value, axis=1, kind="stable")
        if self._diagonal:
            order = order[:, : r.parents]
        searches, count, n = x.shape
        rows = order + count * np.arange(searches)[:, None]
        y = x.reshape(-1, n).take(rows, axis=0)
        y -= self.mean[:, None, :]
        y /= self.sigma[:, None, None]
        step = r.weights[: r.parents] @ y[:, : r.parents]  # eq. 41
        self.mean = self.mean + self.sigma[:, None] * step
        self._path_sigma = (1 - r.c_sigma) * self._path_sigma + math.sqrt(
            r.c_sigma * (2 - r.c_sigma) * r.mu_eff
        ) * self._whitened(step[:, None, :], scale, basis)[:, 0]
        length = np.linalg.norm(self._path_sigma, axis=1)
        grown = self.sigma * np.exp((r.c_sigma / r.d_sigma) * (length / r.chi - 1))
        self.sigma = np.minimum(grown, _SIGMA_MAX)
        self._learn_covariance(y, step, length, scale, basis)

    def _learn_covariance(
        self, y: Floats, step: Floats, length: Floats, scale: Floats, basis: Floats
    ) -> None:
        """Move paths and covariances (eq. 45 to 47)."""
        r, n = self.rates, self.mean.shape[1]
        forgotten = np.sqrt(1 - (1 - r.c_sigma) ** (2 * (self._generation + 1)))
        small = (length / forgotten < (1.4 + 2 / (n + 1)) * r.chi).astype(np.float64)
        self._path_c = (1 - r.c_c) * self._path_c + (
            small * math.sqrt(r.c_c * (2 - r.c_c) * r.mu_eff)
        )[:, None] * step
        kept = 1 + r.c_1 * (1 - small) * r.c_c * (2 - r.c_c) - r.c_1 - r.c_mu * r.weights.sum()
        if self._diagonal:
            spread = r.weights[: r.parents] @ (y * y)
            self.cov = kept[:, None] * self.cov + r.c_1 * self._path_c**2 + r.c_mu * spread
            return
        far = (self._whitened(y, scale, basis) ** 2).sum(axis=2)
        weights = r.weights * np.where(r.weights >= 0, 1.0, n / (far + _EPS))  # eq. 46
        spread = (y * weights[:, :, None]).transpose(0, 2, 1) @ y
        rank_one = self._path_c[:, :, None] * self._path_c[:, None, :]
        self.cov = kept[:, None, None] * self.cov + r.c_1 * rank_one + r.c_mu * spread

    def restart(self, rows: Indices) -> None:
        """Let some searches begin again as they began first."""
        if not rows.size:
            return
        self._axes = None
        self.mean[rows] = self._first[rows]
        self.sigma[rows] = self._sigma0
        self.cov[rows] = 1.0 if self._diagonal else np.eye(self.mean.shape[1])
        self._path_sigma[rows] = self._path_c[rows] = 0.0
        self._generation[rows] = 0

    def keep(self, rows: Indices) -> None:
        """Go on with these searches only."""
        for name in ("_first", "mean", "sigma", "cov", "_path_sigma", "_path_c", "_generation"):
            setattr(self, name, getattr(self, name)[rows])
        if self._axes is not None:
            scale, basis = self._axes
            self._axes = scale[rows], basis if self._diagonal else basis[rows]

    @property
    def spread(self) -> Floats:
        """Largest standard deviation of each search along any axis, ``(S,)``."""
        widest: Floats = self.sigma * self._decomposed()[0].max(axis=1)
        return widest

    def _decomposed(self) -> tuple[Floats, Floats]:
        """Return lengths and directions of the covariances' axes (no directions: diagonal)."""
        if self._axes is None:
            if self._diagonal:
                self._axes = np.sqrt(np.where(self.cov < 0, _EPS, self.cov)), self.cov[:0]
            else:
                squares, basis = np.linalg.eigh((self.cov + self.cov.transpose(0, 2, 1)) / 2)
                scale = np.sqrt(np.where(squares < 0, _EPS, squares))
                self.cov = (basis * (scale**2)[:, None, :]) @ basis.transpose(0, 2, 1)
                self._axes = scale, basis
        return self._axes

    def _whitened(self, y: Floats, scale: Floats, basis: Floats) -> Floats:
        """Return ``C^(-1/2) y`` for rows of vectors ``(S, k, n)``."""
        if self._diagonal:
            return y / scale[:, None, :]
        turned: Floats = ((y @ basis) / scale[:, None, :]) @ basis.transpose(0, 2, 1)
        return turned
