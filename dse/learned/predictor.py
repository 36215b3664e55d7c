"""What every predictor of latency is: fitted on a table of rows, it answers in batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.learned.encoding import Encoding
from dse.learned.features import DEFAULT_BLOCKS
from dse.learned.rows import RecordedRows, RowTable
from dse.numeric import Floats
from dse.settings import NoSettings
from dse.state.entries import CheckedEntries

#: What a fit reports to: the step it has done, of how many, and a line of how it stands.
OnStep = Callable[[int, int, str], None]
Arrays = Mapping[str, npt.NDArray[Any]]


class Prediction(NamedTuple):
    """What is believed of the cycles of B mappings, ``(B,)`` each.

    Their natural logarithm is taken to be normal, with this mean and standard deviation; NaN for
    mappings without features.
    """

    mean: Floats
    deviation: Floats

    @property
    def cycles(self) -> Floats:
        """The median of the cycles: exp of the mean of their logarithm."""
        result: Floats = np.exp(self.mean)
        return result


class Predictor(ABC):
    """A model of recorded cycles, immutable once it is fitted.

    Equal arguments give equal answers, to the last bit, however rows are split into batches and
    for any number of threads that ask; so inference is by row, in compiled code of our own.

    Attributes:
        summary: one line for ``train --help``.
        settings_type: a dataclass of its settings, every field with a default.
    """

    summary: ClassVar[str]
    settings_type: ClassVar[type[Any]] = NoSettings

    @classmethod
    def blocks(cls, settings: Any) -> tuple[str, ...]:  # noqa: ARG003, ANN401
        """Return the blocks of features that it is made for."""
        return DEFAULT_BLOCKS

    @classmethod
    def prepared(
        cls,
        rows: RecordedRows,  # noqa: ARG003
        encoding: Encoding,  # noqa: ARG003
        settings: Any,  # noqa: ARG003, ANN401
        seed: int,  # noqa: ARG003
        report: OnStep,  # noqa: ARG003
    ) -> dict[str, Any]:
        """Return what is learned before :meth:`fit`, as keyword arguments of it.

        Args:
            rows: whose problems and hardware may be looked at, but not their cycles.
            encoding: of the table that :meth:`fit` is given.
            settings: an instance of ``settings_type``.
            seed: of all randomness.
            report: told of every step.
        """
        return {}

    @classmethod
    @abstractmethod
    def fit(
        cls,
        table: RowTable,
        settings: Any,  # noqa: ANN401
        seed: int,
        report: OnStep,
    ) -> Predictor:
        """Learn from all rows of a table.

        What is held out, to stop early and to know the deviation, is for the predictor to choose
        among these rows, by the seed. Equal arguments give an equal predictor.

        Args:
            table: rows with features of the blocks that :meth:`blocks` says, or more.
            settings: an instance of ``settings_type``.
            seed: of all randomness.
            report: told of every step.

        Raises:
            ToolError: a library is missing; the message says how to install it.
            SpecError: too few rows.
        """

    @abstractmethod
    def predict(self, features: Floats, ln_native: Floats) -> Prediction:
        """Predict the cycles of B mappings.

        Args:
            features: ``(B, F)``, columns as in the table of :meth:`fit`.
            ln_native: ``(B,)`` natural logarithm of the native model's cycles.
        """

    @abstractmethod
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all its numbers, by name."""

    @property
    def facts(self) -> dict[str, Any]:
        """What is to be known beside the numbers, as plain data: what :meth:`load` is given."""
        return {}

    @classmethod
    @abstractmethod
    def load(cls, arrays: Arrays, facts: CheckedEntries, features: int) -> Predictor:
        """Build the predictor again.

        Args:
            arrays: as :meth:`arrays` returned them, but from a file that may be anyone's: types,
                shapes and ranges are to be checked.
            facts: as :attr:`facts`.
            features: how many the encoding has.

        Raises:
            SpecError: they are not those of such a predictor.
        """
