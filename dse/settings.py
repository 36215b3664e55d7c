"""Settings: typed dataclass fields with a default and a line of help."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dse.errors import SpecError, unknown_name

if TYPE_CHECKING:
    from omegaconf.errors import OmegaConfBaseException


@dataclass(frozen=True)
class NoSettings:
    """The settings of a plug-in that has none."""


def setting(default: Any, help_text: str) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Return a dataclass field with a default value and the line that ``--help`` shows."""
    if isinstance(default, (list, dict, set)):
        copied = default.copy
        return field(default_factory=copied, metadata={"help": help_text})
    return field(default=default, metadata={"help": help_text})


def typed(schema: type[Any], given: Mapping[str, Any], prefix: str) -> Any:  # noqa: ANN401
    """Return an instance of a dataclass of settings with these values, converted and checked.

    Raises:
        SpecError: one is unknown, or of the wrong type; ``prefix`` stands before its name.
    """
    from omegaconf import OmegaConf  # noqa: PLC0415 - slow to load
    from omegaconf.errors import OmegaConfBaseException  # noqa: PLC0415

    names = [f.name for f in dataclasses.fields(schema)]
    for key in given:
        if key not in names:
            known = [f"{prefix}{name}" for name in names]
            raise SpecError(unknown_name("setting", f"{prefix}{key}", known))
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), dict(given))
        return OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise SpecError(explain(error, prefix)) from error


def explain(error: OmegaConfBaseException, prefix: str = "") -> str:
    """Return one line for a configuration error: the key, the value, what was expected."""
    line = str(error).partition("\n")[0]
    key = getattr(error, "full_key", None)
    return f"{prefix}{key}: {line}" if key else line
