"""What the stepwise mappers share: budget, joint evaluation over hardware, the best so far."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.goals.metrics import Metrics
from dse.mappers.base import Mapped, Mapper
from dse.mappers.best import Best
from dse.numeric import Floats

S = TypeVar("S")
#: A search on one hardware: yields mappings to evaluate, and is sent their values, ``(B,)``.
Course = Generator[MappingBatch, Floats, None]


class Search(Mapper[S], Generic[S]):
    """A mapper that goes step by step, on all hardware at once.

    Subclasses say in :meth:`course` how one search goes; the searches on all hardware advance
    together, and the mappings that they ask for are evaluated in one batch. A sample is a mapping
    that fits the hardware; those that do not fit are made again, uncounted, as random search does.
    """

    def map(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        samples: npt.NDArray[np.int64],
        seed: int,
    ) -> Mapped:
        """See :meth:`dse.mappers.base.Mapper.map`."""
        self.check()
        best = [Best() for _ in range(len(hardware))]
        left = [int(n) for n in samples]
        courses = [
            self.course(hardware, h, problem, int(samples[h]), seed) for h in range(len(hardware))
        ]
        asked = {h: next(course, None) for h, course in enumerate(courses) if left[h] > 0}
        while True:
            batches = {
                h: batch.window(0, min(left[h], len(batch)))
                for h, batch in asked.items()
                if batch is not None and len(batch) and left[h] > 0
            }
            if not batches:
                break
            asked = {}
            for h, metrics in self._evaluate(hardware, problem, batches):
                value = self.rank(metrics, problem, hardware.architectures[h])
                best[h].offer(batches[h], metrics, value)
                left[h] -= len(value)
                if left[h] > 0:
                    asked[h] = _send(courses[h], value)
        return Mapped.of(best)

    @abstractmethod
    def course(
        self, hardware: HardwareBatch, h: int, problem: Problem, samples: int, seed: int
    ) -> Course:
        """Search on hardware ``h``: yield a MappingBatch, be sent its values, until done.

        The course must depend on ``h`` for its seed only, on what it is sent, and on its
        arguments. A batch may be cut where the budget ends; then the search is over.
        """

    def check(self) -> None:
        """Raise SpecError where a setting is out of range."""

    def _evaluate(
        self, hardware: HardwareBatch, problem: Problem, batches: dict[int, MappingBatch]
    ) -> Iterator[tuple[int, Metrics]]:
        parts = list(batches.values())
        joint = parts[0] if len(parts) == 1 else MappingBatch.concatenate(parts)
        index = np.repeat(
            np.fromiter(batches, np.int32, len(batches)), [len(part) for part in parts]
        )
        metrics = self.evaluator.evaluate(hardware, problem, joint, index)
        at = 0
        for h, part in batches.items():
            yield h, metrics.window(at, at + len(part))
            at += len(part)


def _send(course: Course, value: Floats) -> MappingBatch | None:
    try:
        return course.send(value)
    except StopIteration:
        return None


def at_least(name: str, value: float, least: float) -> None:
    """Raise SpecError where a mapper's setting lies below its least value."""
    if not value >= least:
        raise SpecError(f"mapper.{name} = {value}, expected at least {least:g}")


#: Draws for one mapping wanted: more could not be counted.
MOST_DRAWS = 10**12


def check_draws(value: int) -> None:
    """Raise SpecError where ``mapper.max_draws`` is out of range."""
    if not 1 <= value <= MOST_DRAWS:
        raise SpecError(f"mapper.max_draws = {value}, expected 1 to {MOST_DRAWS}")


def share(name: str, value: float) -> None:
    """Raise SpecError where a mapper's setting is no probability."""
    if not 0 <= value <= 1:
        raise SpecError(f"mapper.{name} = {value}, expected 0 to 1")
