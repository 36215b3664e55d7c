"""The attributes that Timeloop reads from components, and a guard against misspelt keys.

Timeloop ignores keys that it does not know. Many files rely on that (``technology``,
``n_rdwr_ports``, attributes of Accelergy's plug-ins), so unknown keys are accepted here too,
unless they look like a misspelt key that would have changed the result.
"""

from __future__ import annotations

import difflib

from dse.timeloop.yaml.nodes import Entry

WORD_BITS = ("word_bits", "word_width", "datawidth")
BLOCK_SIZE = ("block_size", "n_words")
WIDTH = ("width", "memory_width", "data_storage_width")
DEPTH = ("depth", "memory_depth", "data_storage_depth")

LEVEL = frozenset(
    {
        *WORD_BITS,
        *BLOCK_SIZE,
        *WIDTH,
        *DEPTH,
        "entries",
        "sizeKB",
        "cluster_size",
        "instances",
        "meshX",
        "meshY",
        "reduction_supported",
        "bandwidth",
        "shared_bandwidth",
        "read_bandwidth",
        "write_bandwidth",
        "multiple_buffering",
        "min_utilization",
        "network_fill_latency",
        "network_drain_latency",
        "network_word_bits",
        "network_type",
        "vector_access_energy",
        "addr_gen_energy",
        "cluster_area",
        "router_energy",
        "wire_energy",
        "tile_width",
        "energy_per_hop",
        "energy_per_ingress",
        "power_gated_at",
        "allow_overbooking",
    }
)
COMPUTE = frozenset({"word_bits", "datawidth", "instances", "meshX", "meshY", "energy", "area"})

#: Keys in use that Timeloop does not read for dense models, though they look like ones it does.
_IGNORED = frozenset(
    {
        "technology",
        "type",
        "n_banks",
        "num_banks",
        "n_ports",
        "num_ports",
        "fill_latency",
        "drain_latency",
        "energy_per_bit",
        "read_energy",
        "write_energy",
        "update_energy",
        "metadata_width",
        "metadata_depth",
        "metadata_datawidth",
        "metadata_word_bits",
        "metadata_block_size",
        "metadata_storage_width",
        "metadata_storage_depth",
        "multiplier_width",
        "adder_width",
    }
)


def check_spelling(attributes: Entry, known: frozenset[str]) -> None:
    """Refuse keys that are not known but look like one that is.

    Raises:
        SpecError: naming the key and the one that was probably meant.
    """
    plain = {_bare(name): name for name in known}
    for key, entry in attributes.pairs():
        name = key.replace("-", "_")
        if name in known or name in _IGNORED:
            continue
        meant = plain.get(_bare(name))
        if meant is None:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            meant = near[0] if near else None
        if meant is not None:
            raise entry.refuse(f"unknown key '{key[:80]}'; did you mean '{meant}'?")


def _bare(name: str) -> str:
    return name.replace("_", "").lower()
