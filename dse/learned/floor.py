"""What cycles come to: a positive sum of quantities that the native model counts.

The mean of Starlight's process: cycles are ``sum_i exp(bias_i + slope_i s) q_i``, with s ln of the
array's side: tiles visited, words moved, iterations and native cycles each have their cost. Such a
sum goes on beyond the rows that it was fitted on, as logarithms alone do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from dse.extras import torch_for
from dse.learned.predictor import Arrays
from dse.learned.weights import checked
from dse.numeric import Floats

#: Weights of the penalties on the sizes of slopes and of costs beyond the typical.
SLOPE_PENALTY = 0.002
_STEPS = 400


@dataclass(frozen=True, eq=False)
class Floor:
    """Costs of Q quantities.

    Attributes:
        bias: ``(Q + 1,)`` ln of the cost at the middle side; the last is what every run costs.
        slope: ``(Q + 1,)`` by which power of the side a cost grows.
        middle: ln of the side in the middle.
    """

    bias: Floats
    slope: Floats
    middle: float

    def of(self, quantities: Floats, side: Floats) -> Floats:
        """Return ln of the cycles, ``(B,)``, of ln quantities ``(B, Q)`` and ln sides ``(B,)``."""
        terms = self.bias + self.slope * (side - self.middle)[:, None]
        terms[:, :-1] += quantities
        result: Floats = logsumexp(terms, axis=1)
        return result

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return its arrays by name."""
        return {
            "floor.bias": self.bias,
            "floor.slope": self.slope,
            "floor.middle": np.array([self.middle]),
        }

    @classmethod
    def load(cls, arrays: Arrays, quantities: int) -> Floor:
        """Take it from arrays that may be anyone's; SpecError where they are not a floor's."""
        return cls(
            checked(arrays, "floor.bias", np.float64, (quantities + 1,)),
            checked(arrays, "floor.slope", np.float64, (quantities + 1,)),
            float(checked(arrays, "floor.middle", np.float64, (1,))[0]),
        )


def fitted_floor(quantities: Floats, side: Floats, ln_cycles: Floats) -> Floor:
    """Fit the costs by the least absolute error of ln cycles, ``(N,)``.

    Args:
        quantities: ``(N, Q)``, logarithms.
        side: ``(N,)``, logarithm.
        ln_cycles: ``(N,)`` recorded.

    Raises:
        ToolError: PyTorch is missing.
    """
    middle = float(side.mean())
    with torch_for("kind starlight", 0) as torch:
        ones = np.zeros((len(side), 1))
        q = torch.tensor(np.hstack([quantities, ones]))
        s, y = torch.tensor(side - middle)[:, None], torch.tensor(ln_cycles)
        start = ln_cycles.mean() - q.mean(dim=0) - float(np.log(q.shape[1]))
        bias = start.clone().requires_grad_(True)
        slope = torch.zeros_like(start).requires_grad_(True)
        optimizer = torch.optim.Adam([bias, slope], lr=0.1)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
        for _ in range(_STEPS):
            told = torch.logsumexp(q + bias + slope * s, dim=1)
            loss = (y - told).abs().mean() + SLOPE_PENALTY * slope.abs().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return Floor(bias.detach().numpy().copy(), slope.detach().numpy().copy(), middle)
