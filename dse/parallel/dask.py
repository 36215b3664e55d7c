"""The engine of a Dask cluster."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from dse.errors import SpecError, ToolError
from dse.extras import needed, require
from dse.parallel.base import Engine, EngineSettings, R, T
from dse.settings import setting

_LOG = logging.getLogger(__name__)
_WANTED = "parallel=dask"


@dataclass(frozen=True)
class DaskSettings(EngineSettings):
    """Settings of the Dask engine."""

    address: str | None = setting(
        None,
        "the scheduler, as in tcp://head:8786; null: a cluster of this machine, with n_jobs "
        "workers, that ends with the run",
        # who answers there sends objects that are unpacked here
        program=True,
    )
    timeout_s: float = setting(30.0, "seconds to wait for the scheduler, and for a first worker")


class DaskEngine(Engine[DaskSettings]):
    """On the workers of a Dask cluster, one task for each of their threads.

    Tasks are submitted through Dask itself: joblib's back end for it never hears of a task that
    the scheduler has given up, and would wait for it forever. The scheduler gives a task out again
    whose worker is lost; what it gives up, after three times unless it is set otherwise, is what
    ``retries`` counts.
    """

    settings_type = DaskSettings

    def __init__(self, settings: DaskSettings, n_jobs: int) -> None:
        """See :class:`dse.parallel.base.Engine`."""
        super().__init__(settings, n_jobs)
        require(_WANTED, "dask", "distributed")
        if not settings.timeout_s > 0:
            raise SpecError(f"parallel.timeout_s = {settings.timeout_s}, expected more than 0")
        self.patience_s = settings.timeout_s
        self._waits = False
        self._client: Any = None
        self._pool: Any = None
        self._lock = threading.Lock()

    @property
    def slots(self) -> int:
        """See :attr:`dse.parallel.base.Engine.slots`."""
        try:
            return max(1, sum(map(int, self._connected().ncores().values())))
        except (OSError, TimeoutError) as error:
            raise self._gone() from error

    def submit(self, function: Callable[[T], R], task: T) -> Future[R]:
        """See :meth:`dse.parallel.base.Engine.submit`."""
        self._connected()
        future: Future[R] = self._pool.submit(function, task)
        return future

    def lost(self, error: BaseException) -> bool:
        """See :meth:`dse.parallel.base.Engine.lost`."""
        return isinstance(error, needed("distributed", _WANTED, "dask").KilledWorker)

    def check(self, tasks: int) -> None:
        """See :meth:`dse.parallel.base.Engine.check`; workers that may come are waited for."""
        client = self._client
        if client is None or client.status != "running":
            raise self._gone()
        workers = len(client.scheduler_info()["workers"])
        if not workers and not self._waits:
            _LOG.warning("%s: there is no worker any more; %d tasks wait for one", _WANTED, tasks)
        self._waits = not workers

    def close(self) -> None:
        """See :meth:`dse.parallel.base.Engine.close`; a cluster of others stays as it is."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _gone(self) -> ToolError:
        where = self.settings.address or "this machine"
        return ToolError(f"{_WANTED}: the scheduler at {where} has gone; resume= goes on")

    def _connected(self) -> Any:  # noqa: ANN401 - an extra
        with self._lock:
            if self._client is None:
                self._client = self._connect()
                self._pool = self._client.get_executor(pure=False)
            return self._client

    def _connect(self) -> Any:  # noqa: ANN401 - an extra
        distributed = needed("distributed", _WANTED, "dask")
        s = self.settings
        where = s.address or "a cluster of this machine"
        own = {} if s.address else {"n_workers": self.n_jobs, "threads_per_worker": 1}
        try:
            client = distributed.Client(
                s.address,
                timeout=s.timeout_s,
                set_as_default=False,
                **({"dashboard_address": None, **own} if own else {}),
            )
        except (OSError, ValueError, TimeoutError) as error:
            told = str(error).partition("\n")[0]
            raise ToolError(f"{_WANTED}: no scheduler at {where} ({told})") from error
        try:
            client.wait_for_workers(1, timeout=s.timeout_s)
        except TimeoutError as error:
            client.close()
            raise ToolError(
                f"{_WANTED}: the scheduler at {where} has no worker after {s.timeout_s:g} s"
            ) from error
        return client
