"""Which actions of an ERT price what a sparse design does, in each version of Timeloop."""

from __future__ import annotations

from dse.domain.architecture import Compute, StorageLevel
from dse.domain.sparse import STORAGE_ACTIONS
from dse.timeloop.read.tables import EnergyTable

_COMPUTE = {
    "skipped": (
        *("mac_skipped", "mult_skipped", "compute_skipped"),
        *("mac_gated", "mult_gated", "compute_gated", "mac", "mult", "compute"),
    ),
    "gated": ("mac_gated", "mult_gated", "compute_gated", "mac", "mult", "compute"),
}


def compute_energies_pj(compute: Compute, table: EnergyTable) -> dict[str, float]:
    """Return pJ of a computation that is random, gated or skipped; the versions agree."""
    found = {kind: table.find(compute.name, actions) or 0.0 for kind, actions in _COMPUTE.items()}
    return {"random": compute.energy_pj, **found}


def storage_energies_pj(
    level: StorageLevel, user_priced: bool, table: EnergyTable, timeloop_version: str
) -> dict[str, float]:
    """Return pJ of each of a level's actions; what no table prices is free.

    Args:
        level: with the prices of plain accesses.
        user_priced: whether it gives them by itself: then all others are free.
        table: the ERT.
        timeloop_version: decides which actions count.
    """
    plain = {
        "random_read": level.energy.read_pj,
        "random_fill": level.energy.fill_pj,
        "random_update": level.energy.update_pj,
    }
    found = {}
    for action in STORAGE_ACTIONS:
        if action in plain:
            found[action] = plain[action]
        elif user_priced:
            found[action] = 0.0
        else:
            found[action] = table.find(level.name, _names(action, timeloop_version)) or 0.0
    return found


def _names(action: str, timeloop_version: str) -> tuple[str, ...]:
    """Return the actions of a table that price one of storage's, first hit wins."""
    if action.endswith("_count"):
        return (action,)
    kind, *metadata, access = action.split("_")
    if timeloop_version == "4cf6d4c":
        return _names_4cf6d4c(kind, bool(metadata), access)
    return _names_3_0_3(kind, bool(metadata), access)


def _names_4cf6d4c(kind: str, metadata: bool, access: str) -> tuple[str, ...]:
    stem = "metadata_" if metadata else ""
    kinds = {"random": ("random_", ""), "gated": ("gated_",), "skipped": ("skipped_", "gated_")}
    accesses = ("read",) if access == "read" else (access, "write")
    return tuple(f"{k}{stem}{a}" for k in kinds[kind] for a in accesses)


def _names_3_0_3(kind: str, metadata: bool, access: str) -> tuple[str, ...]:
    written = "read" if access == "read" else "write"
    if not metadata:
        gated = f"gated_{written}"
        own = [f"{kind}_{access}", f"{kind}_{written}"]
        return (*own, gated, "idle", written)
    if kind == "random":
        return (f"random_metadata_{access}", f"metadata_{written}", "metadata_idle", "idle")
    own = [f"{kind}_metadata_{access}", f"{kind}_metadata_{written}"]
    return (*own, "metadata_idle", f"metadata_{written}")
