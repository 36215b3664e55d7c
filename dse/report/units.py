"""Values of objectives as people read them: EDP in J x cycle, all others in their own unit."""

from __future__ import annotations


def scale_of(objective: str, unit: str) -> tuple[float, str]:
    """Return by what values are divided for people, and the unit that they have then."""
    return (1e12, "J x cycle") if objective == "edp" else (1.0, unit)


def value_of(objective: str, unit: str, value: float, digits: int = 5) -> str:
    """Return a value with its unit."""
    scale, shown = scale_of(objective, unit)
    return f"{value / scale:.{digits}g} {shown}".rstrip()


def labelled(name: str, unit: str) -> str:
    """Return a name with its unit, as on the axis of a plot."""
    return f"{name} ({unit})" if unit else name


def percent(new: float, old: float) -> str:
    """Return by how much a value has changed; ``-`` from nothing to something."""
    if new == old:
        return "0"
    return f"{100 * (new / old - 1):+.3g} %" if old else "-"
