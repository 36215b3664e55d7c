"""The predictors that are networks: of the cycles, and of what the native model misses of them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy.typing as npt

from dse.learned.dosa_fit import fit_dosa
from dse.learned.features import DEFAULT_BLOCKS, RAW_BLOCKS
from dse.learned.network import NetworkEnsemble
from dse.learned.network_settings import NetworkSettings
from dse.learned.predictor import Arrays, OnStep, Prediction, Predictor
from dse.learned.rows import RowTable
from dse.learned.small_fit import fit_small
from dse.numeric import Floats
from dse.state.entries import CheckedEntries


class ResidualPredictor(Predictor):
    """A network beside the native model, which it corrects."""

    summary = "a network on what the native model misses (DOSA's analytical + DNN)"
    settings_type = NetworkSettings
    residual: ClassVar[bool] = True

    def __init__(self, network: NetworkEnsemble) -> None:
        """Take a fitted network."""
        self.network = network

    @classmethod
    def blocks(cls, settings: Any) -> tuple[str, ...]:  # noqa: ANN401
        """See :meth:`dse.learned.predictor.Predictor.blocks`."""
        return RAW_BLOCKS if settings.network == "dosa" else DEFAULT_BLOCKS

    @classmethod
    def fit(
        cls,
        table: RowTable,
        settings: Any,  # noqa: ANN401
        seed: int,
        report: OnStep,
    ) -> ResidualPredictor:
        """See :meth:`dse.learned.predictor.Predictor.fit`."""
        fit = fit_small if settings.network == "small" else fit_dosa
        return cls(fit(table, settings, seed, report, residual=cls.residual))

    def predict(self, features: Floats, ln_native: Floats) -> Prediction:
        """See :meth:`dse.learned.predictor.Predictor.predict`."""
        return self.network.predict(features, ln_native)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """See :meth:`dse.learned.predictor.Predictor.arrays`."""
        return self.network.arrays()

    @property
    def facts(self) -> dict[str, Any]:
        """See :attr:`dse.learned.predictor.Predictor.facts`."""
        return self.network.facts

    @classmethod
    def load(cls, arrays: Arrays, facts: CheckedEntries, features: int) -> ResidualPredictor:
        """See :meth:`dse.learned.predictor.Predictor.load`."""
        return cls(NetworkEnsemble.load(arrays, facts, features, residual=cls.residual))


class DnnPredictor(ResidualPredictor):
    """A network of the cycles alone."""

    summary = "a network of the cycles alone (DOSA's DNN)"
    residual = False
