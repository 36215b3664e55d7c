"""The contract of an engine: a function and many tasks in, answers out, whoever gave them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from dse.errors import SpecError, ToolError
from dse.process.together import Stopped, in_use
from dse.settings import setting

_LOG = logging.getLogger(__name__)
S = TypeVar("S", bound="EngineSettings")
T = TypeVar("T")
R = TypeVar("R")
#: Tasks that are handed over for each that can be worked on, so that no worker waits for its next.
_AHEAD = 4


@dataclass(frozen=True)
class EngineSettings:
    """Settings of every engine."""

    batch: int = setting(
        1, "mappings in one task; more where an evaluation takes less than about 50 ms"
    )
    retries: int = setting(3, "times that a task is given out again whose worker was lost")


class Engine(ABC, Generic[S]):
    """Does tasks, several at a time, and says what came of each.

    Tasks and answers are plain data, and a task's answer follows from the task alone: it may be
    done again, and by whom and in which order is no matter. Several threads may ask at once.

    An engine starts or connects to its workers with the first task, and again after `close`.

    Attributes:
        settings: an instance of ``settings_type``.
        n_jobs: how many workers are started where the engine starts any.
    """

    #: a dataclass derived from `EngineSettings`
    settings_type: ClassVar[type[Any]] = EngineSettings
    #: whether tasks are done in other processes
    spreads: ClassVar[bool] = True
    #: seconds without an answer after which to `check`; None: never
    patience_s: float | None = None

    def __init__(self, settings: S, n_jobs: int) -> None:
        """Check the settings.

        Raises:
            SpecError: one is out of range.
            ToolError: a library is missing; the message says what installs it.
        """
        if settings.batch < 1:
            raise SpecError(f"parallel.batch = {settings.batch}, expected at least 1")
        if settings.retries < 0:
            raise SpecError(f"parallel.retries = {settings.retries}, expected 0 or more")
        self.settings = settings
        self.n_jobs = n_jobs

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many tasks can be worked on at once, now; at least 1.

        Raises:
            ToolError: there are no workers.
        """

    @abstractmethod
    def submit(self, function: Callable[[T], R], task: T) -> Future[R]:
        """Begin a task; the future holds its answer, or the error that it raised.

        Raises:
            ToolError: there are no workers.
        """

    def drop(self, future: Future[Any]) -> None:
        """Let go of a task whose answer nobody waits for any more."""
        future.cancel()

    def lost(self, error: BaseException) -> bool:  # noqa: ARG002
        """Whether an error says that the worker was lost, rather than what the task raised."""
        return False

    def check(self, tasks: int) -> None:
        """Look whether there is still somebody to wait for; called after every ``patience_s``.

        Args:
            tasks: that no answer has come of in that time.

        Raises:
            ToolError: there is nobody.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the workers; those that the engine has started end."""

    def answers(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield the place of each task and its answer, as they come.

        A task whose worker is lost is given out again, ``settings.retries`` times at most.

        Args:
            function: importable by name, since workers import it.
            tasks: what it is called with.

        Raises:
            ToolError: workers were lost too often, or there are none.
            Stopped: what this belongs to is being ended.
            Exception: what the function raised; nothing more is handed over then.
        """
        waiting = deque(range(len(tasks)))
        given: dict[Future[R], int] = {}
        tried = [0] * len(tasks)
        end = _End()
        try:
            with in_use(end):
                while waiting or given:
                    while waiting and len(given) < _AHEAD * self.slots:
                        at = waiting.popleft()
                        given[self.submit(function, tasks[at])] = at
                    done, _ = wait([*given, end.asked], self.patience_s, FIRST_COMPLETED)
                    if not done:
                        self.check(len(given))
                    if end.asked in done:
                        raise Stopped("a task was given up, because another one failed")
                    again = []
                    for future in done:
                        at = given.pop(future)
                        error = self._error(future)
                        if error is None:
                            yield at, future.result()
                        else:
                            tried[at] += 1
                            if tried[at] > self.settings.retries:
                                raise self._given_up(tried[at], error)
                            again.append(at)
                    if again:
                        told = "task is" if len(again) == 1 else "tasks are"
                        _LOG.warning("a worker was lost: %d %s given out again", len(again), told)
                        waiting.extendleft(sorted(again, reverse=True))
        finally:
            for future in given:
                self.drop(future)

    def _error(self, future: Future[R]) -> BaseException | None:
        """Return the error of a lost worker; raise any other."""
        try:
            error = future.exception()
        except CancelledError as cancelled:
            raise ToolError(f"{self._name}: its workers have gone; resume= goes on") from cancelled
        if error is not None and not self.lost(error):
            raise error
        return error

    def _given_up(self, times: int, error: BaseException) -> ToolError:
        reason = str(error).partition("\n")[0][:200]
        return ToolError(
            f"{self._name}: {times} workers were lost over one task ({type(error).__name__}: "
            f"{reason}); resume= goes on"
        )

    @property
    def _name(self) -> str:
        return f"parallel={type(self).__name__.removesuffix('Engine').lower()}"


class _End:
    """Tells who waits for answers that it is to wait no more."""

    def __init__(self) -> None:
        self.asked: Future[Any] = Future()

    def stop(self) -> None:
        """Wake who waits."""
        if not self.asked.done():
            self.asked.set_result(None)

    def end(self) -> None:
        """Do nothing: tasks end by themselves."""
