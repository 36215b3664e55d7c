"""The engine of a Ray cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from dse.errors import ToolError
from dse.extras import needed, require
from dse.parallel.base import Engine, EngineSettings, R, T
from dse.settings import setting

_WANTED = "parallel=ray"


@dataclass(frozen=True)
class RaySettings(EngineSettings):
    """Settings of the Ray engine."""

    address: str | None = setting(
        None,
        "the cluster, as in head:6379 or auto; null: one of this machine, for n_jobs tasks at a "
        "time, that ends with the run",
        # who answers there sends objects that are unpacked here
        program=True,
    )


class RayEngine(Engine[RaySettings]):
    """On the workers of a Ray cluster, one task for each of its CPUs."""

    settings_type = RaySettings

    def __init__(self, settings: RaySettings, n_jobs: int) -> None:
        """See :class:`dse.parallel.base.Engine`."""
        super().__init__(settings, n_jobs)
        require(_WANTED, "ray", "ray")
        self._ray: Any = None
        self._call: Any = None
        self._lock = threading.Lock()

    @property
    def slots(self) -> int:
        """See :attr:`dse.parallel.base.Engine.slots`."""
        return max(1, int(self._connected().cluster_resources().get("CPU", 1)))

    def submit(self, function: Callable[[T], R], task: T) -> Future[R]:
        """See :meth:`dse.parallel.base.Engine.submit`."""
        self._connected()
        future: Future[R] = self._call.remote(function, task).future()
        return future

    def lost(self, error: BaseException) -> bool:
        """See :meth:`dse.parallel.base.Engine.lost`."""
        gone = needed("ray.exceptions", _WANTED, "ray")
        return isinstance(error, (gone.WorkerCrashedError, gone.NodeDiedError))

    def close(self) -> None:
        """See :meth:`dse.parallel.base.Engine.close`; a cluster of others stays as it is."""
        ray, self._ray = self._ray, None
        if ray is not None:
            ray.shutdown()

    def _connected(self) -> Any:  # noqa: ANN401 - an extra
        with self._lock:
            if self._ray is None:
                ray = needed("ray", _WANTED, "ray")
                own = {} if self.settings.address else {"num_cpus": self.n_jobs}
                try:
                    ray.init(
                        self.settings.address,
                        include_dashboard=False,
                        log_to_driver=False,
                        **own,
                    )
                except (OSError, ValueError, RuntimeError) as error:
                    where = self.settings.address or "this machine"
                    told = str(error).partition("\n")[0]
                    raise ToolError(f"{_WANTED}: no cluster at {where} ({told})") from error
                # lost workers are made good here, where they are counted
                self._call = ray.remote(max_retries=0)(_call)
                self._ray = ray
            return self._ray


def _call(function: Callable[[T], R], task: T) -> R:
    """Call a function of any kind; Ray takes those of Python only."""
    return function(task)
