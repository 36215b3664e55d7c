"""Searches that end by the clock, for benchmarks that give several optimizers the same time."""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from dse.plugins import plugins
from dse.runner.run import start

#: Samples of a search that only the clock ends.
_ANY_NUMBER = 100_000_000
#: Settings for runs that end by the clock, of optimizers that would share out the whole budget.
_TIMED: dict[str, dict[str, Any]] = {"naas": {"mappings_per_hardware": 500}}


class Searched(NamedTuple):
    """What a search came to.

    Attributes:
        value: of the objective; infinite where no valid design was found.
        values: of the variables, of the best design; None where there is none.
        samples: mappings evaluated for every unique layer.
        seconds: that it took, by the clock that was given, without the start.
    """

    value: float
    values: dict[str, int] | None
    samples: int
    seconds: float


class _TimeOver(Exception):
    """Raised to end a run after some seconds."""


def installed(name: str) -> bool:
    """Whether an optimizer is registered; says so where it is not."""
    if name in plugins("optimizer"):
        return True
    print(f"optimizer {name}: not installed, skipped")
    return False


def timed_search(
    optimizer: str,
    arch: str,
    network: str,
    *,
    samples: int = _ANY_NUMBER,
    seconds: float = math.inf,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Searched:
    """Search until a number of samples, or until some seconds are over, at the end of a batch.

    Args:
        optimizer: that searches, with its defaults.
        arch: template of the accelerator.
        network: the workload.
        samples: mappings evaluated for every unique layer, at most.
        seconds: that it may take, without the start.
        seed: of the search.
        clock: that counts these seconds; `time.process_time`: of all threads together.
    """
    with tempfile.TemporaryDirectory() as folder:
        more = {} if math.isinf(seconds) else _TIMED.get(optimizer, {})
        made = start(
            {
                "arch": arch, "workload": network, "optimizer": {"name": optimizer, **more},
                "samples": samples, "seed": seed,
                "folder": f"{folder}/run",
            }
        )  # fmt: skip
        begin = clock()

        def report(_: object) -> None:
            if clock() - begin > seconds:
                raise _TimeOver

        with contextlib.suppress(_TimeOver):
            made.study.run(report)
        state = made.study.state
    values = state.best.values if state.best else None
    return Searched(state.best_value, values, state.samples, clock() - begin)
