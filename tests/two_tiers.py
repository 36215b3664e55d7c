"""Calls of tiered functions, each done in three ways and compared.

Compiled; interpreted; and interpreted, left at some call of a part, and begun again compiled, as
happens when compiled code comes in the midst of a call.
"""

import copy
import sys
import threading
from collections import Counter

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from dse import jit_tiers


def tiered_functions():
    """All tiered functions of the modules that have been imported, by full name."""
    return {
        f"{x.py_func.__module__}.{x.py_func.__name__}": x
        for name, module in list(sys.modules.items())
        if name.startswith("dse.")
        for x in vars(module).values()
        if isinstance(x, Dispatcher) and "_compile_for_args" in vars(x)
    }


class _Watched:
    """Stands for missing code: counts the calls of parts, and comes at one of them."""

    def __init__(self, comes=None):
        self.calls = 0
        self._comes = comes

    def look(self, _):
        self.calls += 1
        return self.calls == self._comes


#: Of several threads each patches what the others would restore; calls of parts are nested.
_ONE_AT_A_TIME = threading.RLock()


def _interpreted(function, arguments, watched):
    """Return what a function returns, or None where it is left midway."""
    with (
        _ONE_AT_A_TIME,
        pytest.MonkeyPatch.context() as patch,
        np.errstate(all="ignore"),
    ):
        patch.setattr(jit_tiers, "_POLL_S", -1e9)
        patch.setattr(jit_tiers._INTERPRETING, "missing", watched)
        patch.setattr(jit_tiers._INTERPRETING, "next", 0.0)
        try:
            return function.py_func(*arguments)
        except jit_tiers._Ready:
            return None


class BothWays:
    """Takes the places of all tiered functions; counts their calls, and those left midway.

    Args:
        monkeypatch: pytest's.
        most: calls of a function that are compared; later ones are compiled alone.
    """

    def __init__(self, monkeypatch, most):
        self.calls, self.left = Counter(), Counter()
        self._most = most
        self._rng = np.random.default_rng(0)
        doubles = {x: self._double(name, x) for name, x in tiered_functions().items()}
        for name, module in list(sys.modules.items()):
            if name.startswith("dse."):
                for key, x in list(vars(module).items()):
                    if isinstance(x, Dispatcher) and x in doubles:
                        monkeypatch.setattr(module, key, doubles[x])

    def _double(self, name, function):
        def both(*arguments):
            self.calls[name] += 1
            if self.calls[name] > self._most:
                return function(*arguments)
            others, again = copy.deepcopy(arguments), copy.deepcopy(arguments)
            compiled = function(*arguments)
            watched = _Watched()
            found = _interpreted(function, others, watched)
            assert not (where := differences((compiled, arguments), (found, others))), (name, where)
            if watched.calls:
                self.left[name] += 1
                _interpreted(function, again, _Watched(self._rng.integers(watched.calls) + 1))
                found = function(*again)
                where = differences((compiled, arguments), (found, again))
                assert not where, (f"{name}, begun again", where)
            return compiled

        return both


def differences(a, b, path=""):
    """Where two nests of tuples, arrays and numbers differ in a bit."""
    if isinstance(a, tuple):
        assert type(a) is type(b)
        assert len(a) == len(b)
        names = getattr(a, "_fields", range(len(a)))
        parts = zip(names, a, b, strict=True)
        return [found for name, x, y in parts for found in differences(x, y, f"{path}.{name}")]
    if isinstance(a, np.ndarray):
        return [] if a.tobytes() == b.tobytes() else [path]
    return [] if np.array(a).tobytes() == np.array(b, np.asarray(a).dtype).tobytes() else [path]
