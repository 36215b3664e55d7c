"""Accuracies from a function of one's own: ``accuracy=module:function``.

It is code, so it is only loaded for a run of one's own, see `dse.runner.trust`.
"""

from __future__ import annotations

from collections.abc import Mapping

from dse.errors import DseError
from dse.goals.python_objective import function_of
from dse.space.accuracy import AccuracyPredictor
from dse.space.network_space import NetworkSpace


class FunctionAccuracy(AccuracyPredictor):
    """What a function returns for the numbers of a network, by the names of the space's file."""

    def __init__(self, networks: NetworkSpace, argument: str) -> None:
        super().__init__(networks, argument)
        self._function = function_of(argument, "accuracy")

    def predict(self, values: Mapping[str, int]) -> float:
        """See :meth:`dse.space.accuracy.AccuracyPredictor.predict`."""
        try:
            return float(self._function(self.networks.numbers(values)))
        except Exception as error:  # whatever the user's function raises
            line = f"{type(error).__name__}: {error}"
            raise DseError(f"accuracy = {self.argument}: {line}") from error
