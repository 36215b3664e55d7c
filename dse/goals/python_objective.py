"""An objective that is a function of the user's own: ``objective=module:function``.

Arithmetic over metrics is data; this is code, so it is only loaded for a run of one's own, see
`dse.runner.trust`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from dse.errors import DseError, SpecError
from dse.goals.design import DesignMetrics
from dse.goals.metrics import Metrics
from dse.goals.objective import Objective
from dse.numeric import Floats

_PLACE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_code(name: str) -> bool:
    """Whether an objective names a function in a module."""
    return _PLACE.fullmatch(name.strip()) is not None


def place_of(function: Callable[..., Any]) -> str:
    """Return ``module:function`` of a function.

    Raises:
        SpecError: it cannot be found by such a name again.
    """
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", "")
    place = f"{module}:{name}"
    found = getattr(sys.modules.get(str(module)), name, None)
    if module == "__main__" or found is not function or not is_code(place):
        raise SpecError(
            f"objective = {place}: expected a function at the top of a module, by whose name a "
            "resumed run finds it again"
        )
    return place


def python_objective(name: str) -> Objective:
    """Return the objective that is a function, or an `Objective`, of a module.

    The function takes the metrics of a design and returns a number, smaller is better. It ranks
    the mappings of a layer, too, where it takes arrays of cycles, energy_pj, area_um2, utilization
    and edp; or its attribute ``of_mappings`` says by what they are compared, see `Objective`.

    Raises:
        SpecError: there is none of that name.
    """
    found = function_of(name, "objective")
    attribute = name.strip().partition(":")[2]
    if isinstance(found, Objective):
        return found
    by = getattr(found, "of_mappings", None)
    summary = (found.__doc__ or "a function").strip().partition("\n")[0]
    ranked = _MappingValues(name, attribute, found)
    return Objective(name, "", summary, _DesignValue(name, found), ranked if by is None else by)


def function_of(name: str, setting: str) -> Any:  # noqa: ANN401 - whatever the user's module holds
    """Return what ``module:function`` names, which can be called.

    Args:
        name: of it.
        setting: that names it, for errors.

    Raises:
        SpecError: there is none of that name.
    """
    module_name, _, attribute = name.strip().partition(":")
    found = getattr(_module(module_name, name, setting), attribute, None)
    if not callable(found):
        raise SpecError(f"{setting} = {name}: {module_name} has no function '{attribute}'")
    return found


def module_file(name: str) -> str:
    """Return the file of the module, or of its outermost package, that a name stands for here.

    Nothing is loaded.
    """
    try:
        with _found_here():
            spec = find_spec(name.strip().partition(":")[0].partition(".")[0])
    except ValueError:  # of a module that was not loaded from a file
        spec = None
    return str(spec.origin) if spec is not None else name


def _module(module: str, name: str, setting: str) -> Any:  # noqa: ANN401
    try:
        with _found_here():
            return import_module(module)
    except ModuleNotFoundError as error:
        raise SpecError(
            f"{setting} = {name}: there is no module '{error.name}' here or on PYTHONPATH"
        ) from error
    except Exception as error:  # whatever the user's module raises
        line = f"{type(error).__name__}: {error}"
        raise SpecError(f"{setting} = {name}: {module} cannot be loaded ({line})") from error


@contextmanager
def _found_here() -> Iterator[None]:
    """Let modules of the working directory be found, as ``python -m`` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


class _DesignValue:
    """The value of a design."""

    def __init__(self, name: str, function: Callable[[DesignMetrics], Any]) -> None:
        self._name, self._function = name, function

    def __call__(self, metrics: DesignMetrics) -> float:
        try:
            return float(self._function(metrics))
        except Exception as error:
            raise DseError(f"objective = {self._name}: {type(error).__name__}: {error}") from error


class _MappingValues:
    """The values of mappings, ``(B,)``."""

    def __init__(self, name: str, attribute: str, function: Callable[..., Any]) -> None:
        self._name, self._attribute, self._function = name, attribute, function

    def __call__(self, metrics: Metrics) -> Floats:
        try:
            found = np.asarray(self._function(metrics), float)
            if found.shape != metrics.valid.shape:
                raise TypeError(f"returns {found.shape}, expected {metrics.valid.shape}")
        except Exception as error:
            raise SpecError(
                f"objective = {self._name}: cannot compare the mappings of a layer "
                f"({type(error).__name__}: {error}); {self._attribute}.of_mappings = 'edp', "
                "'energy' or 'delay' says by what they are compared"
            ) from error
        return found
