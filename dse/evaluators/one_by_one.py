"""What the back ends share that ask an external tool for one mapping at a time."""

from __future__ import annotations

import logging
import re
import threading
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import InvalidMapping, SpecError, ToolError, unknown_name
from dse.evaluators.base import Evaluator, Index
from dse.evaluators.named_files import digests, named_files
from dse.evaluators.native import NativeEvaluator
from dse.goals.metrics import Metrics, Violation
from dse.process.limits import Limits
from dse.process.together import Stopped, ended_together
from dse.settings import setting

_LOG = logging.getLogger(__name__)
_ON_ERROR = ("stop", "skip")

_LINE = re.compile(r"ERROR: couldn't map level ([^:]+): (.*)", re.DOTALL)
#: Timeloop's reasons: pattern, resource, unit; the numbers are demand and bound.
_REASONS = (
    (r"mapped tile size (\d+) exceeds buffer capacity (\d+)", "capacity", "words"),
    (
        r"mapped tile size (\d+) is less than constrained minimum utilization (\S+)",
        "minimum utilization",
        "words",
    ),
    (r"mapped X expansion (\d+) exceeds available hardware instances (\d+)", "meshX", "instances"),
    (r"mapped Y expansion (\d+) exceeds available hardware instances (\d+)", "meshY", "instances"),
    (r"Arithmetic X expansion (\d+) exceeds hardware instances (\d+)", "meshX", "instances"),
    (r"Arithmetic Y expansion (\d+) exceeds hardware instances (\d+)", "meshY", "instances"),
    (r"instances (\d+) exceeds (?:available )?hardware instances (\d+)", "instances", "instances"),
)


class ToolTotals(NamedTuple):
    """What the tool says of one mapping as a whole."""

    cycles: float
    energy_pj: float
    utilization: float
    area_um2: float


_NAN = ToolTotals(*[float("nan")] * len(ToolTotals._fields))


@dataclass(frozen=True)
class ToolSettings:
    """Settings of every back end that runs an external tool."""

    timeout_s: float = setting(60.0, "seconds that one evaluation may take")
    memory_gb: float = setting(4.0, "memory that one process of the tool may use, in GiB")
    on_error: str = setting(
        "stop", "when the tool itself fails: stop the run, or skip the mapping, unscored"
    )


T = TypeVar("T", bound=ToolSettings)


class OneByOneEvaluator(Evaluator[T], Generic[T]):
    """Evaluates with an external tool, ``n_jobs`` mappings at a time, one per question.

    A back end finds its tool in its constructor, once this one has checked the settings, and
    answers :meth:`totals`.

    Attributes:
        limits: what one process of the tool may take.
        slots: ``n_jobs`` of them; who asks the tool holds one, so that the processes are counted
            over all threads that call :meth:`evaluate`.
    """

    settings_type = ToolSettings
    #: the tool's name, for messages
    tool: ClassVar[str]

    def __init__(
        self, timeloop_version: str = "4cf6d4c", n_jobs: int = 1, settings: T | None = None
    ) -> None:
        """See :class:`dse.evaluators.base.Evaluator`.

        Raises:
            SpecError: a setting is out of range.
            ToolError: the tool is missing, or does not work.
        """
        super().__init__(timeloop_version, n_jobs, settings)
        s = self.settings
        if s.on_error not in _ON_ERROR:
            raise SpecError(unknown_name("evaluator.on_error", s.on_error, _ON_ERROR))
        for name in ("timeout_s", "memory_gb"):
            if not getattr(s, name) > 0:
                raise SpecError(f"evaluator.{name} = {getattr(s, name)}, expected more than 0")
        self.limits = Limits(s.timeout_s, int(s.memory_gb * 2**30))
        self.slots = threading.BoundedSemaphore(self.n_jobs)

    @abstractmethod
    def totals(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> ToolTotals:
        """Return what the tool says of one mapping; called by several threads at once.

        Raises:
            InvalidMapping: the tool rejects it; the message is its own line.
            ToolError: the tool failed.
        """

    def evaluate_batch(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate_batch`."""

        def evaluate(b: int) -> ToolTotals | None:
            architecture = hardware.architectures[hardware_index[b]]
            return self._totals_or_none(architecture, problem, mappings[b])

        rows = self._parallel(evaluate, len(mappings))
        numbers = np.array([row or _NAN for row in rows], np.float64)
        valid = np.array([row is not None for row in rows], np.bool_)
        return Metrics(valid, *np.ascontiguousarray(numbers.T))

    def explain_one(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> Violation | None:
        """See :meth:`dse.evaluators.base.Evaluator.explain_one`."""
        try:
            self.totals(architecture, problem, mapping)
        except InvalidMapping as rejection:
            return violation(str(rejection))
        except ToolError as error:
            if self._stops or isinstance(error, Stopped):
                raise
            nan, line = float("nan"), str(error).partition("\n")[0]
            return Violation("", self.tool, nan, nan, "", f"not evaluated: {line}")
        return None

    def elsewhere(self) -> T:
        """See :meth:`dse.evaluators.base.Evaluator.elsewhere`."""
        return replace(super().elsewhere(), on_error="stop")

    def identity(self) -> tuple[str, ...]:
        """See :meth:`dse.evaluators.base.Evaluator.identity`; limits change no answer."""
        limits: dict[str, Any] = {field.name: field.default for field in fields(ToolSettings)}
        settings = replace(self.elsewhere(), **limits)
        return (repr(settings), *digests([*named_files(settings), *self.programs()]))

    def programs(self) -> list[Path]:
        """Return the files of the tool, beside those that settings name by themselves."""
        return []

    def unscored(self, error: ToolError) -> None:
        """See :meth:`dse.evaluators.base.Evaluator.unscored`."""
        if self._stops or isinstance(error, Stopped):
            raise error
        _LOG.warning("a mapping is skipped, unscored: %s", error)

    @property
    def _stops(self) -> bool:
        return self.settings.on_error == "stop"

    def _totals_or_none(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> ToolTotals | None:
        try:
            return self.totals(architecture, problem, mapping)
        except InvalidMapping:
            return None
        except ToolError as error:
            self.unscored(error)
            return None

    def _parallel(
        self, evaluate: Callable[[int], ToolTotals | None], count: int
    ) -> list[ToolTotals | None]:
        from joblib import Parallel, delayed  # noqa: PLC0415 - only these back ends need it

        # threads: they only wait for processes, and results come back without copies
        pool = Parallel(n_jobs=min(self.n_jobs, count), prefer="threads")
        with ended_together() as scope:
            task = delayed(scope.within(evaluate))
            results: list[ToolTotals | None] = pool(task(b) for b in range(count))
        return results


class NativeFirstEvaluator(OneByOneEvaluator[T], Generic[T]):
    """Asks the tool only for what the native model takes; it rejects the rest.

    A back end begins :meth:`totals` with :meth:`native`.
    """

    def native(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> Metrics:
        """Return the native model's metrics of one mapping.

        Raises:
            InvalidMapping: it rejects the mapping; the message is its own.
        """
        model = NativeEvaluator(self.timeloop_version)
        metrics = model.evaluate(architecture, problem, MappingBatch.of([mapping]))
        if not metrics.valid[0]:
            rejected = model.explain_one(architecture, problem, mapping)
            raise InvalidMapping(rejected.message if rejected else "the native model rejects it")
        return metrics

    def explain_one(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> Violation | None:
        """See :meth:`dse.evaluators.base.Evaluator.explain_one`."""
        model = NativeEvaluator(self.timeloop_version)
        rejected = model.explain_one(architecture, problem, mapping)
        return rejected or super().explain_one(architecture, problem, mapping)


def violation(line: str) -> Violation:
    """Return what Timeloop's line ``ERROR: couldn't map level ...`` says, as data."""
    found = _LINE.search(line)
    level, reason = (found[1], found[2]) if found else ("", line)
    for pattern, resource, unit in _REASONS:
        numbers = re.search(pattern, reason)
        if numbers:
            return Violation(level, resource, float(numbers[1]), float(numbers[2]), unit, line)
    resource = "keep" if "bypassed in all" in reason else "unknown"
    return Violation(level, resource, float("nan"), float("nan"), "", line)


def warn_of_version(tool: str, found: str | None, expected: str) -> None:
    """Warn where a tool computes as another version of Timeloop than the one expected."""
    if found != expected:
        _LOG.warning(
            "%s computes as %s, and timeloop_version is %s: the numbers are the tool's",
            *(tool, found or "no version that dse knows", expected),
        )
