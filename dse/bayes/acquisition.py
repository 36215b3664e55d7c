"""What a design promises: acquisitions of one objective or several, and feasibility.

log-EI: Ament et al., NeurIPS 2023; qLogNEHVI: Daulton et al., NeurIPS 2021, in its log form.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from botorch.acquisition import AcquisitionFunction, LogExpectedImprovement
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import GenericMCMultiOutputObjective
from botorch.models import ModelListGP
from botorch.sampling import SobolQMCNormalSampler

from dse.bayes.surrogate import DesignProcess
from dse.numeric import Floats

#: Points that an acquisition is computed of at a time.
_CHUNK = 512
#: Draws by which hypervolumes are averaged.
_DRAWS = 64


@dataclass
class Data:
    """What is known of designs that were evaluated.

    Attributes:
        points: ``(N, C)`` where they stand.
        groups: ``(C,)`` the variable of each column.
        values: ``(N, M)`` what is modelled of the objectives; NaN where not valid.
        violation: ``(N,)`` by how much constraints are missed: 0 where valid, infinite where a
            design could not even be evaluated.
    """

    points: Floats
    groups: npt.NDArray[np.int64]
    values: Floats
    violation: Floats
    valid: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.valid = np.isfinite(self.values).all(axis=1) & (self.violation == 0)


class Feasibility:
    """The probability that a design is valid, by a process on how far designs are from it.

    A valid design counts as -1; one that misses constraints by v, relatively, as log(1 + v) up to
    1, as much as one that could not be evaluated.
    """

    def __init__(self, data: Data) -> None:
        self._process: DesignProcess | None = None
        if data.valid.any() and not data.valid.all():
            missed = np.where(np.isfinite(data.violation), np.log1p(data.violation), 1.0)
            label = np.where(data.valid, -1.0, np.minimum(missed, 1.0))
            self._process = DesignProcess(data.points, label, data.groups, "matern")

    def log_probability(self, points: Floats) -> Floats:
        """Return the logarithm of the probability at points, ``(N,)``; 0 where nothing is known."""
        if self._process is None:
            return np.zeros(len(points))
        mean, deviation = self._process.at(points)
        likely = torch.from_numpy(-mean / np.maximum(deviation, 1e-12))
        return np.asarray(torch.special.log_ndtr(likely).numpy(), np.float64)


class Promise:
    """Scores designs by what evaluating them promises; more is better.

    Args:
        data: at least one design in it is valid.
        kernel: of the surrogate of each objective.
        acquisition: ``logei``, ``thompson`` or ``ucb``; several objectives always take qLogNEHVI.
        beta: deviations that ``ucb`` takes off the mean.
        seed: of the draws of hypervolumes.
    """

    def __init__(self, data: Data, kernel: str, acquisition: str, beta: float, seed: int) -> None:
        points, values = data.points[data.valid], data.values[data.valid]
        self.surrogates = [
            DesignProcess(points, column, data.groups, kernel)
            for column in np.ascontiguousarray(values.T)
        ]
        self._feasibility = Feasibility(data)
        self._points = points
        self._values = values
        self._acquisition, self._beta, self._seed = acquisition, beta, seed
        self._pending: list[Floats] = []
        # made anew after each point that is believed in: that takes longer than to compute it
        self._function: AcquisitionFunction | None = None

    @property
    def several(self) -> bool:
        """Whether there are several objectives."""
        return len(self.surrogates) > 1

    def score(self, points: Floats) -> Floats:
        """Return the score of points, ``(N,)``; not for ``thompson`` of one objective."""
        likely = self._feasibility.log_probability(points)
        surrogate = self.surrogates[0]
        if self._acquisition == "ucb" and not self.several:
            mean, deviation = surrogate.at(points)
            # in logarithms of the objective a bound has no natural zero: what is unlikely to be
            # valid is pushed back by as many deviations as its logarithm says
            return -(mean - self._beta * deviation) + surrogate.spread * likely
        if self._function is None:
            self._function = self._hypervolume() if self.several else self._improvement()
        return likely + _in_parts(self._function, surrogate.tensor(points))

    def draws(self, points: Floats, count: int) -> Floats:
        """Return the scores of points by Thompson sampling, ``(count, N)``: one draw each."""
        surrogate = self.surrogates[0]
        drawn = -surrogate.draw(points, count)
        return drawn + surrogate.spread * self._feasibility.log_probability(points)

    def believe(self, point: Floats) -> None:
        """Count a point ``(C,)`` as asked for, so that the rest of its batch lies elsewhere."""
        self._pending.append(point)
        self._function = None
        if not self.several:
            self.surrogates[0].believe(point)

    def _improvement(self) -> AcquisitionFunction:
        """Return the logarithm of the expected improvement."""
        surrogate = self.surrogates[0]
        # values are noisy by the mapper's luck: what counts as reached is the mean, not the least
        reached, _ = surrogate.at(self._points)
        best = (float(reached.min()) - surrogate.origin) / surrogate.spread
        return LogExpectedImprovement(surrogate.model, best_f=best, maximize=False)

    def _hypervolume(self) -> AcquisitionFunction:
        """Return the expected gain of hypervolume, over the values each scaled by its spread."""
        scaled = np.stack(
            [
                (v - s.origin) / s.spread
                for s, v in zip(self.surrogates, self._values.T, strict=True)
            ]
        )
        worst = scaled.max(axis=1) + 0.1 * np.ptp(scaled, axis=1)
        first = self.surrogates[0]
        pending = first.tensor(np.array(self._pending)) if self._pending else None
        return qLogNoisyExpectedHypervolumeImprovement(
            model=ModelListGP(*(s.model for s in self.surrogates)),
            ref_point=(-worst).tolist(),
            X_baseline=first.tensor(self._points),
            sampler=SobolQMCNormalSampler(torch.Size([_DRAWS]), seed=self._seed),
            objective=GenericMCMultiOutputObjective(_negated),
            prune_baseline=True,
            X_pending=pending,
        )


def _negated(values: torch.Tensor, X: torch.Tensor | None = None) -> torch.Tensor:  # noqa: ARG001 - botorch's names
    return -values


def _in_parts(function: AcquisitionFunction, points: torch.Tensor) -> Floats:
    with torch.no_grad():
        parts = [function(part[:, None, :]) for part in torch.split(points, _CHUNK)]
    return np.asarray(torch.cat(parts).numpy(), np.float64)


def modelled(goals: Floats) -> Floats:
    """Return what is modelled of objectives ``(N, M)``: their logarithms, or themselves.

    An objective that is not above 0 everywhere, as arithmetic may be, is modelled as it is. What
    is not finite becomes NaN.
    """
    columns = []
    for column in goals.T:
        finite = np.isfinite(column)
        values = np.where(finite, column, np.nan)
        columns.append(np.log(values) if (column[finite] > 0).all() else values)
    return np.stack(columns, axis=1)
