"""Tests that every engine must pass."""

from __future__ import annotations

import operator
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, ClassVar

from dse.errors import SpecError
from dse.parallel.base import Engine
from dse.plugins import plugin
from dse.testing.evaluators import raises

_TASKS, _ASKERS = 20, 3


class EngineConformance:
    """Tests of one engine; subclass it in a test module.

    Attributes:
        engine: name under which the engine is registered, as in ``parallel=NAME``.
        settings: its settings.
    """

    engine: ClassVar[str]
    settings: ClassVar[dict[str, Any]] = {}

    def make(self, **settings: Any) -> Engine[Any]:  # noqa: ANN401 - of any type
        """Return the engine under test, made as a run makes it."""
        chosen = plugin("parallel", self.engine)
        made: Engine[Any] = chosen.factory(chosen.settings_type(**self.settings | settings), 2)
        return made

    def test_every_task_is_answered_once(self) -> None:
        """Also where several threads ask at once."""
        with closing(self.make()) as engine, ThreadPoolExecutor(_ASKERS) as pool:
            asked = [
                pool.submit(lambda: sorted(engine.answers(operator.neg, range(_TASKS))))
                for _ in range(_ASKERS)
            ]
            for one in asked:
                assert one.result() == [(n, -n) for n in range(_TASKS)]

    def test_there_is_work_for_one_at_least(self) -> None:
        """The engine says for how many."""
        with closing(self.make()) as engine:
            assert engine.slots >= 1

    def test_no_tasks_have_no_answers(self) -> None:
        """Nothing is waited for."""
        with closing(self.make()) as engine:
            assert list(engine.answers(operator.neg, [])) == []

    def test_what_a_task_raises_is_raised(self) -> None:
        """And the engine goes on."""
        inverse: Callable[[int], float] = (1).__truediv__
        with closing(self.make()) as engine:
            raises(ZeroDivisionError, lambda: list(engine.answers(inverse, [2, 0, 4])))
            assert list(engine.answers(operator.neg, [1])) == [(0, -1)]

    def test_it_begins_anew_after_its_end(self) -> None:
        """As it does after a run in the same process; to end it twice is no error."""
        engine = self.make()
        for task in (1, 2):
            with closing(engine):
                assert list(engine.answers(operator.neg, [task])) == [(0, -task)]
        engine.close()

    def test_settings_of_all_engines_are_checked(self) -> None:
        """What is out of range is refused, before anything is started."""
        for wrong in ({"batch": 0}, {"retries": -1}):
            raises(SpecError, lambda w=wrong: self.make(**w))
