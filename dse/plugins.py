"""Plug-ins: optimizers, mappers, evaluators, engines and objectives, found by entry point.

The built-ins register in the same way as outside plug-ins do: the distribution names a class in
the group ``dse.optimizers``, ``dse.mappers``, ``dse.evaluators`` or ``dse.parallel``; if the
class has settings, it says so in ``settings_type``, a dataclass whose fields all have defaults. In
``dse.objectives`` it names a `dse.goals.objective.Objective` itself, in ``dse.accuracy`` a class of
accuracy predictors (`dse.space.accuracy`). An outside plug-in that cannot be loaded is named in a
warning and skipped.
"""

from __future__ import annotations

import dataclasses
import inspect
import logging
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from dse.errors import DseError, SpecError, unknown_name
from dse.settings import NoSettings

if TYPE_CHECKING:
    from omegaconf.errors import OmegaConfBaseException

_LOG = logging.getLogger(__name__)
_DISTRIBUTION = "dse-accel"

#: Entry-point group by kind of plug-in that has settings, a group of the configuration.
GROUPS = {
    "optimizer": "dse.optimizers",
    "mapper": "dse.mappers",
    "evaluator": "dse.evaluators",
    "parallel": "dse.parallel",
}
_ALL_GROUPS = {**GROUPS, "objective": "dse.objectives", "accuracy": "dse.accuracy"}
_SCALARS = (int, float, str, bool, type(None))


@dataclass(frozen=True)
class Plugin:
    """A loaded plug-in.

    Attributes:
        factory: its class; of an objective, the objective.
        settings_type: the dataclass of its settings.
        distribution: which registers it.
        place: its module and name there, as the distribution says them.
    """

    kind: str
    name: str
    factory: Any
    settings_type: type[Any]
    distribution: str
    place: str

    @property
    def summary(self) -> str:
        """First line of the class's docstring."""
        return (inspect.getdoc(self.factory) or "").partition("\n")[0]


@cache
def plugins(kind: str) -> dict[str, Plugin]:
    """Return the plug-ins of a kind by name; broken outside ones are named and skipped.

    All of them are loaded: who needs one asks for it with :func:`plugin`.

    Raises:
        DseError: there is none, which means that the installation is stale.
    """
    found = ((name, find(kind, name)) for name in names(kind))
    return {name: item for name, item in found if item is not None}


def names(kind: str) -> tuple[str, ...]:
    """Return the names of a kind's plug-ins, without a look at whether they can be loaded."""
    return tuple(_points(kind))


@cache
def find(kind: str, name: str) -> Plugin | None:
    """Return the plug-in of that kind and name; None: there is none that can be loaded."""
    found: Plugin | None = None
    for point in _points(kind).get(name, ()):
        if found is not None:
            if point.value != found.place:
                _LOG.warning(
                    "%s '%s' of '%s' is skipped: the name is taken by '%s'",
                    *(kind, name, _distribution(point), found.distribution),
                )
            continue
        try:
            found = _load(kind, point)
        except Exception as error:
            if _is_own(point):
                raise
            _LOG.warning(
                "%s '%s' of '%s' is skipped: %s: %s",
                *(kind, name, _distribution(point), type(error).__name__, error),
            )
    return found


def plugin(kind: str, name: str) -> Plugin:
    """Return the plug-in of that kind and name.

    Raises:
        SpecError: there is none; the message lists the choices.
    """
    found = find(kind, name)
    if found is None:
        raise SpecError(unknown_name(kind, name, plugins(kind)))
    return found


@cache
def _registered() -> Any:  # noqa: ANN401 - Python 3.11 has another type than later ones
    """Return the entry points of all distributions, which are slow to read."""
    return entry_points()


@cache
def _points(kind: str) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a kind, by name.

    Raises:
        DseError: there is none, which means that the installation is stale.
    """
    # built-ins first, so that nothing from outside takes their names
    points = sorted(
        set(_registered().select(group=_ALL_GROUPS[kind])), key=lambda p: (not _is_own(p), p.name)
    )
    if not points:
        raise DseError(f"no {kind} is registered: install the package again (pip install -e .)")
    found: dict[str, list[EntryPoint]] = {}
    for point in points:
        found.setdefault(point.name, []).append(point)
    return found


def _load(kind: str, point: EntryPoint) -> Plugin:
    factory = point.load()
    missing = getattr(factory, "__abstractmethods__", ())
    if missing:
        raise TypeError(f"{point.value} does not define {', '.join(sorted(missing))}")
    settings_type = getattr(factory, "settings_type", NoSettings)
    if not (isinstance(settings_type, type) and dataclasses.is_dataclass(settings_type)):
        raise TypeError(f"settings_type of {point.value} is not a dataclass")
    for item in dataclasses.fields(settings_type):
        if item.default is item.default_factory is dataclasses.MISSING:
            raise TypeError(f"{settings_type.__name__}.{item.name} has no default")
    return Plugin(kind, point.name, factory, settings_type, _distribution(point), point.value)


def _distribution(point: EntryPoint) -> str:
    return _name(point.dist) if point.dist else "?"


@cache
def _name(distribution: Distribution) -> str:
    """Return a distribution's name, for which all of its description is read."""
    return distribution.name


def _is_own(point: EntryPoint) -> bool:
    return _distribution(point) == _DISTRIBUTION


def chosen(kind: str, given: object, default: str) -> tuple[Plugin, dict[str, Any]]:
    """Return the plug-in that a setting names, and the settings that it brings along.

    Args:
        kind: of plug-in.
        given: a name, or a mapping of ``name`` and settings.
        default: the name where the mapping has none.

    Raises:
        SpecError: it is neither, or there is no such plug-in.
    """
    if not isinstance(given, str | Mapping):
        raise SpecError(f"{kind} = {given!r}: expected a name, or 'name' with settings")
    options = {"name": given} if isinstance(given, str) else dict(given)
    return plugin(kind, str(options.pop("name", default))), options


def typed(schema: type[Any], given: Mapping[str, Any], prefix: str) -> Any:  # noqa: ANN401
    """Return an instance of a dataclass of settings with these values, converted and checked.

    Raises:
        SpecError: one is unknown, or of the wrong type; ``prefix`` stands before its name.
    """
    _refuse_unknown(schema, given, prefix)
    for key, value in given.items():
        _refuse_references(f"{prefix}{key}", value)
    given = {key: _whole(value) for key, value in given.items()}
    if _is_typed(schema, given):
        return schema(**given)
    from omegaconf import OmegaConf  # noqa: PLC0415 - slow to load
    from omegaconf.errors import OmegaConfBaseException  # noqa: PLC0415

    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), given)
        return OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise SpecError(explain(error, prefix)) from error


def _is_typed(schema: type[Any], given: Mapping[str, Any]) -> bool:
    """Whether values, and the defaults of what is not given, are what OmegaConf makes of them."""
    hints = typing.get_type_hints(schema)
    return all(
        _is_plain(given[item.name], hints[item.name])
        if item.name in given
        else _is_plain_default(item)
        for item in dataclasses.fields(schema)
    )


def _is_plain(value: object, hint: object) -> bool:
    """Whether a value is a scalar of just the type that is asked for."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return type(value) in _SCALARS and (hint is Any or type(value) in options)


def _is_plain_default(item: dataclasses.Field[Any]) -> bool:
    """Whether a field's default is a scalar, an empty collection, or settings of such."""
    made: Any = item.default_factory
    if made is dataclasses.MISSING:
        return type(item.default) in _SCALARS
    default = made()
    if dataclasses.is_dataclass(default):
        return all(_is_plain_default(own) for own in dataclasses.fields(default))
    return type(default) in (dict, list) and not default


def _whole(value: Any) -> Any:  # noqa: ANN401
    """Return a whole number as an integer, which is as good where a float is expected."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _refuse_unknown(schema: type[Any], given: Mapping[str, Any], prefix: str) -> None:
    """Refuse settings that a dataclass does not have, those of dataclasses in it, too."""
    known = {f.name: f for f in dataclasses.fields(schema)}
    for key, value in given.items():
        if key not in known:
            names = [f"{prefix}{name}" for name in known]
            raise SpecError(unknown_name("setting", f"{prefix}{key}", names))
        inner: Any = known[key].default_factory
        if (
            isinstance(inner, type)
            and dataclasses.is_dataclass(inner)
            and isinstance(value, Mapping)
        ):
            _refuse_unknown(inner, value, f"{prefix}{key}.")


def explain(error: OmegaConfBaseException, prefix: str = "") -> str:
    """Return one line for a configuration error: the key, the value, what was expected."""
    line = str(error).partition("\n")[0]
    key = getattr(error, "full_key", None)
    return f"{prefix}{key}: {line}" if key else line


def _refuse_references(key: str, value: object) -> None:
    """Refuse ``${...}``, which would be replaced: by a variable of the environment, say.

    Hydra has replaced what stands on the command line; what is left comes from a file.
    """
    if isinstance(value, Mapping):
        for name, part in value.items():
            _refuse_references(f"{key}.{name}", part)
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            _refuse_references(f"{key}[{index}]", part)
    elif isinstance(value, str) and "${" in value:
        raise SpecError(f"{key} = {value!r}: expected a value without '${{'")
