"""The course of a search: its best value so far as a function of samples, and of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.numeric import Floats


@dataclass(frozen=True, eq=False)
class SearchCourse:
    """Steps down, ``(N,)`` each, and where the search ended.

    Attributes:
        samples: at which the best value changed.
        best: the value from there on; infinite where there was none yet.
        seconds: when it was known, at the end of its batch; NaN where no times were kept.
        end_samples, end_seconds: of the whole search.
    """

    samples: Floats
    best: Floats
    seconds: Floats
    end_samples: float
    end_seconds: float

    @classmethod
    def of(
        cls, bests: Sequence[tuple[int, float | None]], times: Sequence[tuple[int, float]]
    ) -> SearchCourse:
        """Return a course.

        Args:
            bests: samples and the best value there, in order; the last one is the end. None:
                nothing valid yet.
            times: samples and seconds at the end of every batch.
        """
        samples = np.array([at for at, _ in bests], float)
        best = np.array([np.inf if value is None else value for _, value in bests], float)
        if times:
            ends = np.array([at for at, _ in times], float)
            clock = np.array([second for _, second in times], float)
            # a kill may have cost the last line
            seconds = clock[np.minimum(np.searchsorted(ends, samples), len(ends) - 1)]
            end = float(clock[-1])
        else:
            seconds, end = np.full(len(samples), np.nan), float("nan")
        return cls(samples, best, seconds, float(samples[-1]), end)

    @property
    def timed(self) -> bool:
        """Whether it is known when its values came."""
        return bool(np.isfinite(self.end_seconds) and np.isfinite(self.seconds).all())

    def at_samples(self, samples: float) -> float:
        """Return the best value after so many samples; infinite: none."""
        return _at(self.samples, self.best, samples)

    def at_seconds(self, seconds: float) -> float:
        """Return the best value after so many seconds; infinite: none; NaN: nobody knows."""
        return _at(self.seconds, self.best, seconds) if self.timed else float("nan")


def _at(steps: Floats, best: Floats, place: float) -> float:
    passed = int(np.searchsorted(steps, place, side="right"))
    return float(best[passed - 1]) if passed else float("inf")


#: The course of a run of which nothing is known.
NO_COURSE = SearchCourse.of([(0, None)], [])
