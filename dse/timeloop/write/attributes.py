"""Declared attributes as keys of Timeloop's components and as actions of energy tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.domain.attribute import declared


def flat_keys(part: object) -> dict[str, Any]:
    """Return a part's attributes by the keys of flat trees; defaults are left out where allowed."""
    return {
        key: _plain(getattr(part, item.name))
        for item in declared(part)
        if item.keys and (item.keys.always or getattr(part, item.name) != item.default)
        for key in item.keys.flat
    }


def node_keys(part: object) -> dict[str, Any]:
    """Return a part's attributes by the keys of timeloopfe's nodes; defaults are left out."""
    return {
        item.keys.nodes: _plain(getattr(part, item.name))
        for item in declared(part)
        if item.keys and item.keys.nodes and getattr(part, item.name) != item.default
    }


def priced_actions(part: object) -> dict[str, float]:
    """Return a part's energies in pJ by the actions of energy tables."""
    return {
        item.actions.written: float(getattr(part, item.name))
        for item in declared(part)
        if item.actions
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - any scalar of the domain
    """Return a plain Python scalar for numpy's, which YAML cannot represent."""
    return value.item() if isinstance(value, np.generic) else value
