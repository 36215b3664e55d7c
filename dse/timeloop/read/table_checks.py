"""Says where energies would be mixed: an ERT that does not name all that Timeloop prices by it.

Timeloop takes its built-in energies for whatever an ERT lacks, without a word. The numbers here are
the same; the words are warnings.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Sequence

from dse.domain.architecture import AccessEnergy, Compute
from dse.timeloop.read.component_tree import Component, find_components, strip_range
from dse.timeloop.read.tables import EnergyTable
from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)
#: Accelergy's other files, for people.
SUMMARIES = ("ERT_summary", "ART_summary")
_DUMMY = "dummy_storage"
#: What Timeloop prices by itself where a table does not: a missing leakage is none.
_ACCESSES = {"read_pj": "read", "fill_pj": "write", "update_pj": "update"}
_BUILT_IN = "its energy is Timeloop's built-in one"


def check_tables(
    place: Entry, energies: EnergyTable, architecture: Entry, timeloop_version: str
) -> None:
    """Warn of components and actions that the energies lack, and of tables of no component.

    Args:
        place: the ERT, for messages; or what it was made of.
        energies: read from it.
        architecture: in the flat form.
        timeloop_version: decides which actions price what.
    """
    storage, compute, _ = find_components(architecture)
    spare = [name for name in energies.components if name not in _names(architecture)]
    wanted: list[tuple[Component, type]] = [(c, AccessEnergy) for c in storage]
    if compute.entry.get("name") is not None:
        wanted.append((compute, Compute))
    for component, part in wanted:
        name = component.name
        if component.kind == _DUMMY or component.attributes.get("vector_access_energy") is not None:
            continue
        if name not in energies.components:
            _LOG.warning(
                "%s: no table of component '%s'%s", place.where, name, _instead(name, spare)
            )
            continue
        found = energies.prices(name, part, timeloop_version)
        if part is Compute and found["energy_pj"] is None:
            _missing(place, name, "compute (or mac_random, mult_random, mac, mult)")
        for key, action in _ACCESSES.items():
            if part is AccessEnergy and found[key] is None:
                _missing(place, name, action)
    for name in spare:
        _LOG.warning("%s: table '%s' is of no component", place.where, name)


def warn_of_summaries(root: Entry) -> None:
    """Warn of Accelergy's summaries where there are no tables: Timeloop does not read them."""
    for name in SUMMARIES:
        summary, key = root.get(name), name.removesuffix("_summary")
        if summary is not None and root.get(key) is None:
            what = "energies are Timeloop's built-in ones" if key == "ERT" else "areas are 0"
            _LOG.warning(
                "%s: is not read; expected Accelergy's other file, %s.yaml: %s",
                summary.where,
                key,
                what,
            )


def _missing(place: Entry, name: str, action: str) -> None:
    _LOG.warning("%s: table '%s' has no action %s; %s", place.where, name, action, _BUILT_IN)


def _instead(name: str, spare: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, spare, n=1)
    hint = f" ('{near[0]}' is of no component)" if near else ""
    return f"{hint}; {_BUILT_IN}"


def _names(architecture: Entry) -> set[str]:
    """Return the names of all components, also of those that Timeloop's model does not have."""
    if architecture.get("storage") is not None and architecture.get("subtree") is None:
        storage, compute, _ = find_components(architecture)
        found = [*storage, compute]
        return {c.name for c in found if c.entry.get("name") is not None}
    return set(_local_names(architecture))


def _local_names(node: Entry) -> Iterator[str]:
    local, subtree = node.get("local"), node.get("subtree")
    for item in local.items() if local is not None else []:
        name = item.get("name")
        if name is not None:
            yield strip_range(name.text())
    for branch in subtree.items() if subtree is not None else []:
        yield from _local_names(branch)
