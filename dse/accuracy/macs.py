"""A stand-in for accuracy that grows with the MACs of a network."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dse.errors import SpecError
from dse.space.accuracy import AccuracyPredictor
from dse.space.network_counts import size_of
from dse.space.network_space import NetworkSpace


class MacsAccuracy(AccuracyPredictor):
    """A stand-in, no accuracy: 0 for the fewest MACs of the whole space, 1 for the most.

    In between, the place of the logarithm of the MACs. What is fixed does not change the ends.
    """

    stands_in = True
    unit = "stand-in by MACs"

    def __init__(self, networks: NetworkSpace, argument: str) -> None:
        super().__init__(networks, argument)
        if argument:
            raise SpecError(f"accuracy = macs:{argument}: macs takes no argument")
        size = size_of(networks, whole=True)
        self._low, self._high = math.log(size.least_macs), math.log(size.most_macs)

    def predict(self, values: Mapping[str, int]) -> float:
        """See :meth:`dse.space.accuracy.AccuracyPredictor.predict`."""
        if self._high <= self._low:
            return 1.0
        return (math.log(self.networks.build(values).macs) - self._low) / (self._high - self._low)
