"""Reads ``timeloop-model.stats.txt`` and ``timeloop-mapper.stats.txt``, of 3.0.3 and of today.

Today's Timeloop prints the utilisation in percent, leaves out levels without energy unless
``TIMELOOP_HIDE_INCONSEQUENTIAL_STATS=0``, and adds leakage; both print ``Area: 0.00`` in the
summary, so areas are summed over the levels. Numbers have the precision that is printed, and
tensors that a level bypasses are not printed at all; ``map_xml`` knows more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dse.errors import ToolError
from dse.model.stats import LevelStats, NetworkStats, Stats, TensorStats

_SECTION = re.compile(r"^(?:Level|Network) \d+\n-+\n", re.MULTILINE)
_LINE = re.compile(r"^( *)([^:\n]+?) *:(?: +(\S+))?.*$", re.MULTILINE)
_INSTANCES = re.compile(r"^ *Instances +: (\d+) \(", re.MULTILINE)
_SUMMARY = "Summary Stats"

_Entries = dict[str, float]


def parse_stats(text: str) -> Stats:
    """Return what a stats file says.

    Raises:
        ToolError: the text is no complete stats file.
    """
    body, marker, summary = text.rpartition(_SUMMARY)
    cycles = re.search(r"^Cycles: (\d+)$", summary, re.MULTILINE)
    computes = re.search(r"^(?:Algorithmic )?Computes = (\d+)$", summary, re.MULTILINE)
    energy = re.search(r"^Energy: (\S+) uJ$", summary, re.MULTILINE)
    # the total comes last: with it, the file is whole
    total = re.search(r"^ +Total +=", summary, re.MULTILINE)
    if not (marker and cycles and computes and energy and total):
        raise ToolError("stats file: it has no complete summary, so the run did not finish")
    try:
        return _stats(body, int(cycles[1]), int(computes[1]), _number(energy[1]) * 1e6)
    except (KeyError, ValueError, IndexError) as error:
        raise ToolError(f"stats file: cannot be understood ({error!r})") from error


def _stats(body: str, cycles: int, computes: int, energy_pj: float) -> Stats:
    levels: dict[str, LevelStats] = {}
    networks: dict[str, dict[str, NetworkStats]] = {}
    compute: _Entries = {}
    compute_instances = 0
    for section in _SECTION.split(body)[1:]:
        title, _, rest = section.partition("\n")
        if not title.startswith("==="):
            networks[title.strip()] = dict(_network(rest))
            continue
        name = title.strip("= ")
        found = _INSTANCES.search(rest)
        instances = int(found[1]) if found else 1
        general, tensors = _values(rest)
        if "Compute energy" in general:
            compute, compute_instances = general, instances
            continue
        levels[name] = LevelStats(
            cycles=int(general["Cycles"]),
            slowdown=general["Bandwidth throttling"],
            area_um2=general["Area"] * instances,
            leak_energy_pj=general.get("Leakage energy (total)", 0.0),
            tensors={tensor: _tensor(values) for tensor, values in tensors.items()},
        )
    return Stats(
        cycles=cycles,
        energy_pj=energy_pj,
        area_um2=sum(x.area_um2 for x in levels.values()) + compute["Area (total)"],
        # not the printed one, which has two digits
        utilization=computes / compute_instances / cycles,
        computes=computes,
        compute_energy_pj=compute["Energy (total)"],
        levels=levels,
        networks=networks,
    )


def _values(section: str) -> tuple[_Entries, dict[str, _Entries]]:
    """Return a section's own values, and those of each tensor in it."""
    general: _Entries = {}
    tensors: dict[str, _Entries] = {}
    current = general
    for indent, name, value in _LINE.findall(section):
        if len(indent) <= 4:
            # a name alone on its line is a tensor, or the loop nest; a value is the section's
            current = general if value else tensors.setdefault(name, {})
        try:
            number = 0.0 if value == "-" else float(value)
        except ValueError:
            continue
        current.setdefault(name, number)
    return general, {name: values for name, values in tensors.items() if values}


def _tensor(v: _Entries) -> TensorStats:
    return TensorStats(
        reads=v["Scalar reads (per-instance)"],
        fills=v["Scalar fills (per-instance)"],
        updates=v["Scalar updates (per-instance)"],
        utilized_capacity=int(v["Utilized capacity"]),
        partition_size=int(v["Partition size"]),
        utilized_instances=v["Utilized instances (max)"],
        utilized_clusters=v["Utilized clusters (max)"],
        energy_pj=v["Energy (per-instance)"],
        temporal_reductions=v["Temporal reductions (per-instance)"],
        address_generations=v["Address generations (per-cluster)"],
    )


def _network(section: str) -> Iterator[tuple[str, NetworkStats]]:
    for tensor, v in _values(section)[1].items():
        yield (
            tensor,
            NetworkStats(
                link_transfers=v["Link transfers"],
                spatial_reductions=v["Spatial reductions"],
                energy_pj=v["Energy (per-instance)"],
                link_transfer_energy_pj=v["Link transfer energy (per-instance)"],
            ),
        )


def _number(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError(f"{text} is no amount")
    return number
