"""In words, of which mappings an optimum is one: the one place that says so.

What is proven is the best of a mapspace, not of all mappings that the hardware could run.
"""

from __future__ import annotations

from collections.abc import Sequence

#: How a proven optimum is called wherever one is told.
OPTIMUM = "proven optimum of this mapspace"


def evenness_text(divided: Sequence[str] = ()) -> str:
    """Return whether the tensors that a level keeps change at the same loops.

    Args:
        divided: levels at which they need not.
    """
    if not divided:
        return "even mappings (a level's tensors share its loops)"
    return f"uneven mappings at {', '.join(divided)} (each tensor stands at its own loops)"


def mapspace_text(
    *, free: bool, padding: str = "off", source: str = "template", divided: Sequence[str] = ()
) -> str:
    """Return which mappings are searched, and so what an optimum is one of.

    Args:
        free: whether ``mapspace.free`` lifts the constraints on loops.
        padding: the setting of that name; see `dse.domain.padding.Padding`.
        source: whose constraints they are, as in ``template`` or ``file``.
        divided: levels at which mappings may be uneven; see `dse.domain.uneven`.
    """
    sizes = "" if padding == "off" else f" of padded sizes ({padding})"
    loops = f"the {source}'s keeps and bypasses, any loops that its fan-outs admit (free)"
    if not free:
        loops = f"the {source}'s constraints, its keeps and bypasses"
    return f"perfect factors{sizes}, {loops}, {evenness_text(divided)}"
