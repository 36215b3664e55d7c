"""The evaluator contract: hardware, problem and mappings in, metrics out."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import DseError, SpecError, ToolError, unknown_name
from dse.evaluators.named_files import digests, named_files, with_whole_paths
from dse.goals.metrics import Metrics, Violation
from dse.model import TIMELOOP_VERSIONS
from dse.plugins import find
from dse.settings import NoSettings

S = TypeVar("S")
Index = npt.NDArray[np.int32]


class Evaluator(ABC, Generic[S]):
    """Evaluates mappings. One method is all that a back end writes: :meth:`evaluate_batch`.

    A run makes its evaluator with ``timeloop_version``, ``n_jobs`` and ``settings``, by keyword; a
    back end with a constructor of its own takes these three and hands them to this one.

    An evaluator knows nothing of objectives and holds no random state: equal arguments give
    equal metrics, to the last bit, however mappings are split into batches and for any ``n_jobs``.
    Several threads may ask it at once. A tool that fails raises :class:`dse.errors.ToolError`; it
    never becomes a metric.

    Attributes:
        timeloop_version: the Timeloop whose numbers the user expects.
        n_jobs: how many threads or processes it may use.
        settings: an instance of ``settings_type``.
    """

    #: a dataclass, every field with a default
    settings_type: ClassVar[type[Any]] = NoSettings
    #: whether an evaluation takes no longer than looking up whether it was done before
    is_quick: bool = False
    #: whether its numbers are those of Timeloop's model, for which alone an optimum is proven
    equals_timeloop: bool = False
    #: whether it knows sparse designs, of whose tensors words that are 0 are left out
    takes_sparse: bool = False

    def __init__(
        self, timeloop_version: str = "4cf6d4c", n_jobs: int = 1, settings: S | None = None
    ) -> None:
        """Check and keep what every back end is given.

        Args:
            timeloop_version: a value of :data:`dse.model.TIMELOOP_VERSIONS`.
            n_jobs: threads or processes to use; 0 = one per core.
            settings: the back end's own; None: their defaults.

        Raises:
            SpecError: the version is unknown, or ``n_jobs`` negative.
        """
        if timeloop_version not in TIMELOOP_VERSIONS:
            raise SpecError(unknown_name("timeloop_version", timeloop_version, TIMELOOP_VERSIONS))
        if n_jobs < 0:
            raise SpecError(f"n_jobs = {n_jobs}, expected 0 (all cores) or more")
        self.timeloop_version = timeloop_version
        self.n_jobs = n_jobs or os.cpu_count() or 1
        self.settings: S = self.settings_type() if settings is None else settings

    @abstractmethod
    def evaluate_batch(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
    ) -> Metrics:
        """Evaluate at least one mapping; the arguments are checked and fit each other.

        Args:
            hardware: H architectures of one structure.
            problem: the problem that all mappings map.
            mappings: B mappings.
            hardware_index: ``(B,)`` which of the H architectures each mapping runs on.

        Raises:
            dse.errors.SpecError: the problem is outside what the back end can represent.
            dse.errors.ToolError: an external tool failed.
        """

    def explain_one(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> Violation | None:
        """Return why a mapping is rejected, or None when it is valid.

        A back end that knows the reason overrides this; without it, there is a verdict only.
        """
        if self.evaluate(architecture, problem, MappingBatch.of([mapping])).valid[0]:
            return None
        nan = float("nan")
        return Violation("", "unknown", nan, nan, "", f"{type(self).__name__} gives no reason")

    def elsewhere(self) -> S:
        """Return settings with which another process, in another folder, makes an equal evaluator.

        One that is asked there raises every error of its tool.
        """
        return with_whole_paths(self.settings)

    def identity(self) -> tuple[str, ...]:
        """Return what answers follow from, beside what is asked, the version and the code.

        The settings, and the contents of the files that they name; a back end overrides this where
        an answer follows from more, or from less.

        Raises:
            SpecError: a file cannot be read.
        """
        settings = self.elsewhere()
        return (repr(settings), *digests(named_files(settings)))

    def unscored(self, error: ToolError) -> None:
        """Take note that a mapping was not evaluated; raise the error, unless told to go on."""
        raise error

    def close(self) -> None:
        """End what runs beside this process, such as workers; the next evaluation starts anew."""

    def require_timeloop(self, search: str) -> None:
        """Refuse a search whose proof would not be for this evaluator.

        Args:
            search: as the user named it, ``mapper=optimal``.

        Raises:
            SpecError: the evaluator computes another model than Timeloop's.
        """
        if not self.equals_timeloop:
            raise SpecError(
                f"{search}: its proof is for Timeloop's model; expected an evaluator that equals "
                f"it, and {type(self).__name__} does not say so"
            )

    def evaluate(
        self,
        hardware: Architecture | Sequence[Architecture] | HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: npt.NDArray[np.integer[Any]] | None = None,
    ) -> Metrics:
        """Evaluate B mappings of one problem.

        Args:
            hardware: one architecture, or H of one structure (same level names).
            problem: the problem that all mappings map.
            mappings: B mappings.
            hardware_index: ``(B,)`` which of the H architectures each mapping runs on; None
                means architecture 0 for all when H = 1, else architecture b for mapping b.

        Raises:
            ValueError: the shapes of the arguments do not fit each other.
            dse.errors.SpecError: the problem is outside what the back end can represent.
            dse.errors.ToolError: an external tool is missing or failed.
        """
        machines = HardwareBatch.of(hardware)
        index = _hardware_index(machines, mappings, hardware_index)
        _check_shapes(machines, problem, mappings)
        if not len(mappings):
            return Metrics.rejected(0)
        metrics = self.evaluate_batch(machines, problem, mappings, index)
        if len(metrics) != len(mappings):
            raise DseError(
                f"{type(self).__name__}.evaluate_batch: metrics of {len(metrics)} mappings, "
                f"expected {len(mappings)}"
            )
        return metrics

    def explain(
        self, hardware: Architecture, problem: Problem, mappings: MappingBatch, index: int
    ) -> Violation | None:
        """Return why mapping ``index`` is rejected, or None when it is valid.

        Raises:
            ValueError: the shapes of the arguments do not fit each other.
            IndexError: there is no mapping of that index.
            dse.errors.ToolError: an external tool is missing or failed.
        """
        _check_shapes(HardwareBatch.of(hardware), problem, mappings)
        return self.explain_one(hardware, problem, mappings[index])


def _hardware_index(
    machines: HardwareBatch,
    mappings: MappingBatch,
    given: npt.NDArray[np.integer[Any]] | None,
) -> Index:
    """Return which hardware each mapping runs on (the contract's rule for None)."""
    count = len(mappings)
    if given is not None:
        if given.shape != (count,) or given.dtype.kind not in "iu":
            raise ValueError(
                f"hardware_index has shape {given.shape} and type {given.dtype}, "
                f"expected ({count},) and integers"
            )
        if count and (given.min() < 0 or given.max() >= len(machines)):
            raise ValueError(f"hardware_index must lie in 0 .. {len(machines) - 1}")
        return np.ascontiguousarray(given, np.int32)
    if len(machines) == 1:
        return np.zeros(count, np.int32)
    if len(machines) != count:
        raise ValueError(f"{len(machines)} architectures for {count} mappings: give hardware_index")
    return np.arange(count, dtype=np.int32)


def _check_shapes(machines: HardwareBatch, problem: Problem, mappings: MappingBatch) -> None:
    """Raise ValueError where the mappings are not for these levels, dimensions and tensors."""
    levels, dimensions, _ = mappings.temporal.shape
    if levels != len(machines.level_names) or dimensions != len(problem.dimensions):
        raise ValueError(
            f"mappings are for {levels} levels and {dimensions} dimensions, "
            f"the hardware has {len(machines.level_names)}, the problem {len(problem.dimensions)}"
        )
    if mappings.keep.shape[1] != len(problem.tensors):
        raise ValueError(
            f"mappings are for {mappings.keep.shape[1]} tensors, "
            f"the problem has {len(problem.tensors)}"
        )


def equals_timeloop(name: str) -> bool:
    """Return whether the back end of that name says that its numbers are Timeloop's.

    One that is not installed here says nothing, and of that no optimum is known.
    """
    chosen = find("evaluator", name)
    return chosen is not None and bool(getattr(chosen.factory, "equals_timeloop", False))
