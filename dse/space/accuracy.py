"""The contract of an accuracy predictor: how accurate the networks of a space are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from dse.space.network_space import NetworkSpace

#: What an accuracy is counted in, unless a predictor stands in for one.
SHARE = "share of images"


class AccuracyPredictor(ABC):
    """Says how accurate networks are; registered in the entry points ``dse.accuracy``.

    It holds no random state: equal networks have equal accuracies, whatever was asked before.

    Attributes:
        networks: the space.
        argument: what follows the name and a colon in ``accuracy=NAME:ARGUMENT``; may be empty.
    """

    #: whether its numbers are no accuracies, but only grow where those should
    stands_in: ClassVar[bool] = False
    #: what its numbers are
    unit: ClassVar[str] = SHARE

    def __init__(self, networks: NetworkSpace, argument: str) -> None:
        """Set up.

        Raises:
            SpecError: the argument, or a file that it names, does not fit the space.
        """
        self.networks = networks
        self.argument = argument

    @classmethod
    def files(cls, argument: str) -> list[Path]:  # noqa: ARG003 - for subclasses
        """Return the files that the predictions depend on: a run does not go on with others."""
        return []

    @abstractmethod
    def predict(self, values: Mapping[str, int]) -> float:
        """Return the accuracy of a network; NaN where the predictor knows none.

        Args:
            values: of all variables of the space, those that change nothing at their defaults.
        """

    def why_none(self, values: Mapping[str, int]) -> str:  # noqa: ARG002 - for subclasses
        """Say why there is no accuracy for a network."""
        return "the predictor knows none"
