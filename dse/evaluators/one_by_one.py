"""What the back ends share that ask an external Timeloop for one mapping at a time."""

from __future__ import annotations

import logging
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import InvalidMapping, SpecError, ToolError, unknown_name
from dse.evaluators.base import Evaluator, check_shapes, hardware_index_of
from dse.goals.metrics import Metrics, Violation

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


class TimeloopTotals(NamedTuple):
    """What Timeloop says of one mapping as a whole."""

    cycles: float
    energy_pj: float
    utilization: float
    area_um2: float


_NAN = TimeloopTotals(*[float("nan")] * len(TimeloopTotals._fields))


class OneByOneEvaluator(Evaluator):
    """Evaluates with an external Timeloop, ``n_jobs`` mappings at a time, one per question.

    Args:
        tool: the tool's name, for messages.
        n_jobs: mappings at a time.
        on_error: what to do when the tool itself fails: ``stop`` or ``skip``.

    Raises:
        SpecError: ``on_error`` is neither.
    """

    def __init__(self, tool: str, n_jobs: int, on_error: str) -> None:
        if on_error not in _ON_ERROR:
            raise SpecError(unknown_name("evaluator.on_error", on_error, _ON_ERROR))
        self.tool = tool
        self.n_jobs = n_jobs
        self._stops = on_error == "stop"

    @abstractmethod
    def totals(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> TimeloopTotals:
        """Return what Timeloop says of one mapping; called by several threads at once.

        Raises:
            InvalidMapping: Timeloop rejects it; the message is its own line.
            ToolError: Timeloop failed.
        """

    def evaluate(
        self,
        hardware: Architecture | Sequence[Architecture] | HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: npt.NDArray[np.int32] | None = None,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate`."""
        machines = HardwareBatch.of(hardware)
        index = hardware_index_of(machines, mappings, hardware_index)
        check_shapes(machines, problem, mappings)

        def price(b: int) -> TimeloopTotals | None:
            architecture = machines.architectures[index[b]]
            return self._price(architecture, problem, mappings[b])

        rows = self._parallel(price, len(mappings))
        numbers = np.array([row or _NAN for row in rows], np.float64).reshape(-1, len(_NAN))
        valid = np.array([row is not None for row in rows], np.bool_)
        return Metrics(valid, *np.ascontiguousarray(numbers.T))

    def explain(
        self, hardware: Architecture, problem: Problem, mappings: MappingBatch, index: int
    ) -> Violation | None:
        """See :meth:`dse.evaluators.base.Evaluator.explain`."""
        try:
            self.totals(hardware, problem, mappings[index])
        except InvalidMapping as rejection:
            return violation(str(rejection))
        except ToolError as error:
            if self._stops:
                raise
            nan, line = float("nan"), str(error).partition("\n")[0]
            return Violation("", self.tool, nan, nan, "", f"not evaluated: {line}")
        return None

    def _price(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> TimeloopTotals | None:
        try:
            return self.totals(architecture, problem, mapping)
        except InvalidMapping:
            return None
        except ToolError as error:
            if self._stops:
                raise
            _LOG.warning("a mapping is skipped, unscored: %s", error)
            return None

    def _parallel(
        self, price: Callable[[int], TimeloopTotals | None], count: int
    ) -> list[TimeloopTotals | None]:
        from joblib import Parallel, delayed  # noqa: PLC0415 - only these back ends need it

        # threads: they only wait for processes, and results come back without copies
        pool = Parallel(n_jobs=min(self.n_jobs, max(count, 1)), prefer="threads")
        results: list[TimeloopTotals | None] = pool(delayed(price)(b) for b in range(count))
        return results


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


def check_limits(timeout_s: float, memory_gb: float) -> None:
    """Refuse limits that nothing could meet."""
    for name, value in (("timeout_s", timeout_s), ("memory_gb", memory_gb)):
        if not value > 0:
            raise SpecError(f"evaluator.{name} = {value}, expected more than 0")


def warn_of_version(tool: str, found: str | None, expected: str) -> None:
    """Warn where a tool computes as another version of Timeloop than the one expected."""
    if found != expected:
        _LOG.warning(
            "%s computes as %s, and timeloop_version is %s: the numbers are the tool's",
            *(tool, found or "no version that dse knows", expected),
        )
