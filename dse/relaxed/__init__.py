"""The differentiable twin of the native model, and hardware inferred from mappings.

Factors are real numbers here, and everything that the model says of a mapping comes with its
gradient. :class:`~dse.relaxed.twin.Twin` prices relaxed mappings (:class:`Points`) on given
hardware (:class:`PriceList`); :class:`~dse.relaxed.sizing.Sizing` finds the smallest legal hardware
that a set of mappings fits, exactly; :class:`~dse.relaxed.network.RelaxedNetwork` does both at once
for networks: the relaxed smallest hardware of all layers' mappings, the objective, its gradient.

``docs/differentiable.md`` says what is relaxed and where it differs from the exact model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dse.relaxed.network import NetworkValue, RelaxedNetwork
    from dse.relaxed.points import Points
    from dse.relaxed.prices import PriceList
    from dse.relaxed.sizing import Demand, Sizing
    from dse.relaxed.twin import Cost, Twin

_LAZY = {
    "Cost": "twin",
    "Demand": "sizing",
    "RelaxedNetwork": "network",
    "NetworkValue": "network",
    "Points": "points",
    "PriceList": "prices",
    "Sizing": "sizing",
    "Twin": "twin",
}

__all__ = [
    "Cost",
    "Demand",
    "NetworkValue",
    "Points",
    "PriceList",
    "RelaxedNetwork",
    "Sizing",
    "Twin",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _LAZY:
        return getattr(import_module(f"dse.relaxed.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'dse.relaxed' has no attribute '{name}'")
