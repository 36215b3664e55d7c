"""The predictor that a setting names: a plug-in with an argument, or a function of one's own."""

from __future__ import annotations

from pathlib import Path

from dse.accuracy.function import FunctionAccuracy
from dse.errors import SpecError, unknown_name
from dse.goals.python_objective import is_code
from dse.plugins import find, names, plugins
from dse.space.accuracy import AccuracyPredictor
from dse.space.network_space import NetworkSpace

#: The predictor of runs over spaces of networks that name none.
DEFAULT = "macs"
_KIND = "accuracy"


def is_function(named: str) -> bool:
    """Whether a setting names code to load."""
    return named.partition(":")[0] not in names(_KIND) and is_code(named)


def predictor(named: str, networks: NetworkSpace) -> AccuracyPredictor:
    """Return the predictor that a setting names.

    Args:
        named: ``NAME``, ``NAME:ARGUMENT`` or ``module:function``.
        networks: whose accuracies are wanted.

    Raises:
        SpecError: there is none, or its argument does not fit the space.
        dse.errors.ToolError: it needs a library that is not installed.
    """
    if is_function(named):
        return FunctionAccuracy(networks, named)
    kind, argument = _plugin(named)
    made = kind(networks, argument)
    if not isinstance(made, AccuracyPredictor):
        raise SpecError(f"accuracy = {named}: {kind!r} is no AccuracyPredictor")
    return made


def files_of(named: str) -> list[Path]:
    """Return the files that a setting names."""
    if is_function(named):
        return []
    kind, argument = _plugin(named)
    return list(kind.files(argument))


def _plugin(named: str) -> tuple[type[AccuracyPredictor], str]:
    name, _, argument = named.partition(":")
    found = find(_KIND, name)
    if found is None:
        told = unknown_name("predictor", name, plugins(_KIND))
        raise SpecError(f"accuracy = {named}: {told}; or module:function")
    kind: type[AccuracyPredictor] = found.factory
    return kind, argument
