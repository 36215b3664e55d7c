"""Gaussian processes over designs: fitted kernels, on GPyTorch and BoTorch.

All of it is double precision on one thread, so that sums are the same on any machine setting.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import log, sqrt

import numpy as np
import numpy.typing as npt
import torch
from botorch.exceptions.warnings import BotorchWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, LinearKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior
from linear_operator.utils.warnings import NumericalWarning

from dse.extras import torch_for
from dse.numeric import Floats

#: Designs that the kernel is fitted to at most; the process stands on all of them.
_MOST_FITTED = 256
#: Points whose mean and deviation are computed at a time, to bound memory.
_CHUNK = 512
#: Least variance of the noise, of values with a deviation of 1.
_LEAST_NOISE = 1e-6


@contextmanager
def torch_of(seed: int) -> Iterator[None]:
    """Run PyTorch as `dse.extras.torch_for` does, without warnings of repeated fits."""
    with torch_for("optimizer=bo", seed), warnings.catch_warnings():
        warnings.simplefilter("ignore", BotorchWarning)
        warnings.simplefilter("ignore", NumericalWarning)
        yield


class GroupedMatern(Kernel):  # type: ignore[misc]
    """Matern 5/2 with one length scale per design variable, whatever columns it takes."""

    has_lengthscale = True

    def __init__(self, groups: npt.NDArray[np.int64]) -> None:
        number = int(groups.max()) + 1
        # botorch's default: typical length scales grow with the square root of the dimensions
        prior = LogNormalPrior(sqrt(2) + 0.5 * log(number), sqrt(3))
        super().__init__(
            ard_num_dims=number,
            lengthscale_prior=prior,
            lengthscale_constraint=GreaterThan(0.025, initial_value=prior.mode),
        )
        self._groups = torch.from_numpy(groups)

    def forward(
        self, x1: torch.Tensor, x2: torch.Tensor, diag: bool = False, **_: object
    ) -> torch.Tensor:
        """Return the covariances of points ``(..., N, C)`` and ``(..., M, C)``."""
        scale = self.lengthscale[..., self._groups]
        distance = sqrt(5) * self.covar_dist(x1 / scale, x2 / scale, diag=diag)
        covariance: torch.Tensor = (1 + distance + distance.square() / 3) * torch.exp(-distance)
        return covariance


class DesignProcess:
    """A Gaussian process fitted to values at points; equal data give an equal one.

    Args:
        points: ``(N, C)``, N at least 1.
        values: ``(N,)``, finite.
        groups: ``(C,)`` the variable of each column.
        kernel: ``matern`` (5/2, a length scale per variable, in the unit cube) or ``linear`` (a
            dot product of standardised columns); noise is fitted with either.

    Attributes:
        model: the process; its values are standardised.
        origin, spread: by which they are.
    """

    def __init__(
        self, points: Floats, values: Floats, groups: npt.NDArray[np.int64], kernel: str
    ) -> None:
        self._center = points.mean(axis=0) if kernel == "linear" else np.zeros(points.shape[1])
        deviation = points.std(axis=0) if kernel == "linear" else np.ones(points.shape[1])
        self._width = np.where(deviation > 0, deviation, 1.0)
        self.origin = float(values.mean())
        spread = float(values.std())
        self.spread = spread if spread > 0 else 1.0
        x, y = self.tensor(points), torch.from_numpy((values - self.origin) / self.spread)
        fitted = _most_telling(values)
        self.model = _process(x[fitted], y[fitted], groups, kernel)
        if len(fitted) > 1:
            fit_gpytorch_mll(ExactMarginalLogLikelihood(self.model.likelihood, self.model))
        if len(fitted) < len(values):
            self.model.set_train_data(x, y, strict=False)
        self.model.eval()
        self._x, self._y = x, y

    def tensor(self, points: Floats) -> torch.Tensor:
        """Return points as the model takes them, ``(N, C)``."""
        return torch.from_numpy((points - self._center) / self._width)

    def at(self, points: Floats) -> tuple[Floats, Floats]:
        """Return mean and deviation at points, ``(N,)`` each, in units of the values."""
        means, deviations = [], []
        with torch.no_grad():
            for part in torch.split(self.tensor(points), _CHUNK):
                there = self.model.posterior(part[:, None, :])
                means.append(there.mean[:, 0, 0])
                deviations.append(there.variance[:, 0, 0].clamp_min(0).sqrt())
        mean, deviation = torch.cat(means).numpy(), torch.cat(deviations).numpy()
        return self.origin + self.spread * mean, self.spread * deviation

    def draw(self, points: Floats, count: int) -> Floats:
        """Return values of ``count`` functions drawn from the process, ``(count, N)``."""
        with torch.no_grad():
            drawn = self.model.posterior(self.tensor(points)).rsample(torch.Size([count]))
        return self.origin + self.spread * np.asarray(drawn[:, :, 0].numpy(), np.float64)

    def believe(self, point: Floats) -> None:
        """Take the mean at a point ``(C,)`` for its value, until the process is made anew."""
        mean, _ = self.at(point[None, :])
        value = torch.tensor((mean - self.origin) / self.spread)
        self._x = torch.cat([self._x, self.tensor(point[None, :])])
        self._y = torch.cat([self._y, value])
        self.model.set_train_data(self._x, self._y, strict=False)
        self.model.eval()


def _process(
    x: torch.Tensor, y: torch.Tensor, groups: npt.NDArray[np.int64], kernel: str
) -> SingleTaskGP:
    noise = GaussianLikelihood(
        noise_prior=LogNormalPrior(-4.0, 1.0),
        noise_constraint=GreaterThan(_LEAST_NOISE, initial_value=0.01),
    )
    inner = LinearKernel() if kernel == "linear" else GroupedMatern(groups)
    return SingleTaskGP(
        x, y[:, None], likelihood=noise, covar_module=ScaleKernel(inner), outcome_transform=None
    ).double()


def _most_telling(values: Floats) -> npt.NDArray[np.int64]:
    """Return which values to fit a kernel to: half of them the best, half of them of all kinds."""
    if len(values) <= _MOST_FITTED:
        return np.arange(len(values))
    order = np.argsort(values, kind="stable")
    half = _MOST_FITTED // 2
    others = np.linspace(half, len(values) - 1, half).round().astype(np.int64)
    return np.sort(np.concatenate([order[:half], order[others]]))
