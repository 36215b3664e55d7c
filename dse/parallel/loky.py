"""The engine of this machine: processes of joblib's loky."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from dse.parallel.base import Engine, EngineSettings, R, T


class LokyEngine(Engine[EngineSettings]):
    """In ``n_jobs`` other processes of this machine, started by joblib's loky.

    Where one of them is killed, the others are ended, too, and as many new ones take their place:
    what they were at is done again.
    """

    def __init__(self, settings: EngineSettings, n_jobs: int) -> None:
        """See :class:`dse.parallel.base.Engine`."""
        super().__init__(settings, n_jobs)
        self._pool: Any = None
        self._lock = threading.Lock()

    @property
    def slots(self) -> int:
        """See :attr:`dse.parallel.base.Engine.slots`."""
        return self.n_jobs

    def submit(self, function: Callable[[T], R], task: T) -> Future[R]:
        """See :meth:`dse.parallel.base.Engine.submit`."""
        with self._lock:
            for fresh in (False, True):
                if self._pool is None or fresh:
                    self._pool = _new_pool(self.n_jobs)
                try:
                    future: Future[R] = self._pool.submit(function, task)
                except BrokenProcessPool:
                    if fresh:
                        raise
                else:
                    return future
        raise AssertionError("unreachable")

    def lost(self, error: BaseException) -> bool:
        """See :meth:`dse.parallel.base.Engine.lost`."""
        return isinstance(error, BrokenProcessPool)

    def close(self) -> None:
        """See :meth:`dse.parallel.base.Engine.close`."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(kill_workers=True)


def _new_pool(n_jobs: int) -> Any:  # noqa: ANN401 - joblib has no types
    from joblib.externals.loky import ProcessPoolExecutor  # noqa: PLC0415 - slow to load

    return ProcessPoolExecutor(n_jobs)
