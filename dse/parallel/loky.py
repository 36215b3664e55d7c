"""The engine of this machine: processes of joblib's loky."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from dse.parallel.base import Engine, EngineSettings, R, T

#: Seconds between looks whether the process is still there that started this one.
_LOOK_S = 1.0
#: Variable of the environment by which an engine knows its processes.
_MARK = "DSE_LOKY"


class LokyEngine(Engine[EngineSettings]):
    """In ``n_jobs`` other processes of this machine, started by joblib's loky.

    Where one of them is killed, the others are ended, too, and as many new ones take their place:
    what they were at is done again.
    """

    def __init__(self, settings: EngineSettings, n_jobs: int) -> None:
        """See :class:`dse.parallel.base.Engine`."""
        super().__init__(settings, n_jobs)
        self._pool: Any = None
        self._mark = uuid.uuid4().hex
        self._lock = threading.Lock()

    @property
    def slots(self) -> int:
        """See :attr:`dse.parallel.base.Engine.slots`."""
        return self.n_jobs

    def submit(self, function: Callable[[T], R], task: T) -> Future[R]:
        """See :meth:`dse.parallel.base.Engine.submit`."""
        with self._lock:
            self._pool = self._pool or self._new_pool()
            try:
                future: Future[R] = self._pool.submit(function, task)
            except BrokenProcessPool:
                self._pool = self._new_pool()
                future = self._pool.submit(function, task)
            return future

    def drop(self, future: Future[Any]) -> None:
        """See :meth:`dse.parallel.base.Engine.drop`; it ends with the pool, at the latest.

        Loky ends no pool of which a task was cancelled.
        """

    def lost(self, error: BaseException) -> bool:
        """See :meth:`dse.parallel.base.Engine.lost`."""
        return isinstance(error, BrokenProcessPool)

    def close(self) -> None:
        """See :meth:`dse.parallel.base.Engine.close`."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is None:
            return
        # loky's own way to kill them stumbles over tasks that are still to be done
        for process in multiprocessing.active_children():
            if (getattr(process, "env", None) or {}).get(_MARK) == self._mark:
                process.terminate()
        pool.shutdown()

    def _new_pool(self) -> Any:  # noqa: ANN401 - joblib has no types
        from joblib.externals.loky import ProcessPoolExecutor  # noqa: PLC0415 - slow to load

        return ProcessPoolExecutor(
            self.n_jobs,
            initializer=_prepared,
            initargs=(os.getpid(),),
            env={_MARK: self._mark},
        )


def _prepared(parent: int) -> None:
    """Have a new process end with the one that started it, and leave interrupts to that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)
