"""What is proven of the best design of a space, beside what searches found in it.

``optimizer=optimal`` is given some seconds. It ends with a design, and with a bound that no design
of the space is below; a search's design is set beside both.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dse
from dse.goals.certificate import gap_of

#: Values of one design by two sums differ by no more, relatively.
_SAME = 1e-9


def prove(
    arch: str,
    workload: str,
    seconds: float,
    *,
    threads: int = 0,
    energy: str | None = None,
    variables: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Search a space by ``optimizer=optimal`` for so many seconds.

    Args:
        arch: the template.
        workload: the network, or several joined by ``+``.
        seconds: after which it ends, within a node.
        threads: 0: all cores.
        energy: chain that prices it; None: the template's.
        variables: those to hold fixed.

    Returns:
        ``value`` of its best design and ``bound`` of the space, in pJ x cycle, 0 where there is
        none yet; ``status`` of the certificate, with the ``reason`` why it claims nothing; the
        ``seconds`` allowed and taken (``wall_s``, ``cpu_s``).
    """
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        found = dse.run(
            arch,
            workload,
            {"name": "optimal", "time": seconds, **({"threads": threads} if threads else {})},
            n_jobs=threads,
            report=False,
            folder=str(Path(folder) / "run"),
            energy=energy,
            variables=variables,
        )
        proof: Mapping[str, Any] = found.certificate or {}
        return {
            "seconds": seconds,
            "wall_s": time.perf_counter() - wall,
            "cpu_s": time.process_time() - cpu,
            "value": found.value,
            "bound": float(proof.get("bound") or 0.0),
            "status": proof["status"],
            "reason": proof.get("reason", ""),
        }


def beside(proof: Mapping[str, Any], found: float) -> dict[str, float]:
    """Set what a search found beside a proof.

    Args:
        proof: of :func:`prove`.
        found: value of the search's design, in pJ x cycle.

    Returns:
        ``best`` of both designs, and the ``gap`` that the bound leaves to it: nothing is better
        than ``best`` by more.

    Raises:
        ValueError: the design lies below the bound, so one of the two is wrong.
    """
    bound = float(proof["bound"])
    if min(found, proof["value"]) < bound * (1.0 - _SAME):
        raise ValueError(f"a design of {found!r} lies below the bound {bound!r}: one is wrong")
    best = min(found, float(proof["value"]))
    return {"best": best, "gap": gap_of(bound, best)}


def at_most(reference: float, bound: float) -> str:
    """Return, as text, by which factor a reference can be improved at most; "-": no bound."""
    return f"{reference / bound:.2f}x" if bound > 0.0 else "-"
