"""Reads ``timeloop-model.map+stats.xml``: all counts and energies, in full precision.

The file is a dump of Timeloop's data structures. It is read by pattern, not as a document:
today's Timeloop never closes the root element, and one run in a search must cost little.
Tensors have no names there; they stand in the order of the problem's data spaces.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dse.errors import ToolError
from dse.model.stats import NetworkStats, TensorStats

_TENSOR_FIELDS = {
    "reads": "reads",
    "fills": "fills",
    "updates": "updates",
    "utilized_capacity": "utilized_capacity",
    "partition_size": "partition_size",
    "utilized_instances": "utilized_instances",
    "utilized_clusters": "utilized_clusters",
    "energy": "energy_pj",
    "temporal_reductions": "temporal_reductions",
    "address_generations": "address_generations",
}
_WANTED = {
    *_TENSOR_FIELDS,
    "temporal_reduction_energy",
    "addr_gen_energy",
    "link_transfers",
    "spatial_reductions",
    "link_transfer_energy",
    "spatial_reduction_energy",
}
_BEGIN = re.compile(r"<px [^>]*>\s*<(Level|Network)\b[^>]*>")
_LEVEL_NAME = re.compile(r"<level_name>([^<]*)</level_name>")
_NETWORK_NAME = re.compile(r"<name>([^<]*)</name>")
_TABLE = re.compile(
    rf"<({'|'.join(sorted(_WANTED))})\b[^>]*>\s*<PerDataSpace[^>]*>"
    r"((?:\s*<item>[^<]*</item>)+)\s*</PerDataSpace>"
)
_ITEM = re.compile(r">([^<>\s]+)<")
_CYCLES = re.compile(r"<cycles>(\d+)</cycles>\s*<slowdown>([^<]*)</slowdown>")
_COMPUTE = re.compile(r"<energy_>([^<]*)</energy_>")
_COMPUTES = re.compile(r"<(?:algorithmic_computes_|maccs_)>(\d+)<")
_END = "</workload_>"

_Columns = dict[str, list[float]]


@dataclass(frozen=True)
class XmlLevel:
    """One storage level; ``energy_pj`` is of all its instances, without leakage."""

    cycles: int
    slowdown: float
    tensors: dict[str, TensorStats]
    energy_pj: float


@dataclass(frozen=True)
class XmlStats:
    """What the file says. Area, leakage and latencies are not in it; levels inside out."""

    computes: int
    compute_energy_pj: float
    levels: dict[str, XmlLevel]
    networks: dict[str, dict[str, NetworkStats]]

    @property
    def energy_pj(self) -> float:
        """Energy of everything, without leakage."""
        storage = sum(level.energy_pj for level in self.levels.values())
        return self.compute_energy_pj + storage + sum(map(self._of_network, self.networks))

    def _of_network(self, name: str) -> float:
        """Energy of a network below all instances of its outer level."""
        outer = self.levels[name.partition(" <==> ")[0]]
        return sum(
            (net.energy_pj + net.link_transfer_energy_pj)
            * next(iter(outer.tensors.values())).utilized_instances
            for net in self.networks[name].values()
        )


def parse_map_xml(text: str, tensors: Sequence[str]) -> XmlStats:
    """Return what the file says.

    Args:
        text: the file.
        tensors: the problem's data spaces, in order.

    Raises:
        ToolError: the text is no complete file of this kind.
    """
    if _END not in text[-200:]:
        raise ToolError("map+stats.xml: it does not end as it should, so the run did not finish")
    try:
        return _parse(text, tensors)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        raise ToolError(f"map+stats.xml: cannot be understood ({error!r})") from error


def _parse(text: str, tensors: Sequence[str]) -> XmlStats:
    starts = list(_BEGIN.finditer(text))
    levels: dict[str, XmlLevel] = {}
    networks: dict[str, dict[str, NetworkStats]] = {}
    compute_energy_pj = computes = None
    for begin, end in zip(starts, [*(s.start() for s in starts[1:]), len(text)], strict=True):
        part = text[begin.start() : end]
        if begin[1] == "Network":
            networks[_name(_NETWORK_NAME, part)] = _network(_tables(part), tensors)
            continue
        name = _name(_LEVEL_NAME, part)
        arithmetic = _COMPUTE.search(part)
        if arithmetic:
            compute_energy_pj, computes = float(arithmetic[1]), int(_match(_COMPUTES, part)[1])
        else:
            levels[name] = _level(part, tensors)
    if compute_energy_pj is None or computes is None or not levels:
        raise ValueError("no levels")
    return XmlStats(computes, compute_energy_pj, levels, networks)


def _level(part: str, tensors: Sequence[str]) -> XmlLevel:
    tables = _tables(part)
    cycles = _match(_CYCLES, part)
    stats = {}
    energy_pj = 0.0
    for t, name in enumerate(tensors):
        row = {field: tables[key][t] for key, field in _TENSOR_FIELDS.items()}
        instances, clusters = row["utilized_instances"], row["utilized_clusters"]
        energy_pj += row["energy_pj"] * instances
        energy_pj += tables["temporal_reduction_energy"][t] * instances
        energy_pj += tables["addr_gen_energy"][t] * clusters
        capacity, partition = int(row.pop("utilized_capacity")), int(row.pop("partition_size"))
        stats[name] = TensorStats(utilized_capacity=capacity, partition_size=partition, **row)
    return XmlLevel(int(cycles[1]), float(cycles[2]), stats, energy_pj)


def _network(tables: _Columns, tensors: Sequence[str]) -> dict[str, NetworkStats]:
    return {
        name: NetworkStats(
            link_transfers=tables["link_transfers"][t],
            spatial_reductions=tables["spatial_reductions"][t],
            energy_pj=tables["energy"][t] + tables["spatial_reduction_energy"][t],
            link_transfer_energy_pj=tables["link_transfer_energy"][t],
        )
        for t, name in enumerate(tensors)
    }


def _tables(part: str) -> _Columns:
    """Return the wanted numbers of one level or network, one per data space."""
    tables: _Columns = {}
    for name, items in _TABLE.findall(part):
        tables.setdefault(name, [float(x) for x in _ITEM.findall(items)])
    return tables


def _name(pattern: re.Pattern[str], part: str) -> str:
    return html.unescape(_match(pattern, part)[1])


def _match(pattern: re.Pattern[str], part: str) -> re.Match[str]:
    found = pattern.search(part)
    if found is None:
        raise ValueError(f"no {pattern.pattern}")
    return found
