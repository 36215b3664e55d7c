"""The engine of this process: its own threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ClassVar

from dse.parallel.base import Engine, EngineSettings, R, T
from dse.process.together import current


class ThreadsEngine(Engine[EngineSettings]):
    """Everything in this process, in ``n_jobs`` threads, which wait for the programs they run."""

    spreads: ClassVar[bool] = False

    def __init__(self, settings: EngineSettings, n_jobs: int) -> None:
        """See :class:`dse.parallel.base.Engine`."""
        super().__init__(settings, n_jobs)
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    @property
    def slots(self) -> int:
        """See :attr:`dse.parallel.base.Engine.slots`."""
        return self.n_jobs

    def submit(self, function: Callable[[T], R], task: T) -> Future[R]:
        """See :meth:`dse.parallel.base.Engine.submit`."""
        with self._lock:
            self._pool = self._pool or ThreadPoolExecutor(self.n_jobs)
            return self._pool.submit(current().within(function), task)

    def close(self) -> None:
        """See :meth:`dse.parallel.base.Engine.close`."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)
