"""Reads the ``mapper`` block of Timeloop's files: what is minimised, and what ends the search.

What each key does to timeloop-mapper is in its ``applications/mapper/mapper.cpp``. Here a search
ends with a proof or with its samples, so most of the keys that end timeloop-mapper's have nothing
to act on: `MapperDirectives.notes` says so of every one that a file sets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dse.errors import SpecError, unknown_name
from dse.timeloop.yaml.nodes import Entry

METRICS = ("delay", "energy", "edp")
_LAST_LEVEL = "last_level_accesses"
_ACCESSES = re.compile(r"accesses_([0-9]{1,3})", re.ASCII)
_ORDERED = "ordered_accesses"
_ALGORITHMS = ("random", "exhaustive", "linear_pruned", "hybrid", "random_pruned")

_ENDS = "the search ends with its proof or its samples"
_PRINTS = "nothing of the kind is written"
_ONE_LINE = "one line, of the mapping found, in place of one for each way to tile"
#: What is done with a key, said where a file sets it; an empty text: it is honoured in silence.
_KEYS = {
    "version": "",
    "optimization_metric": "",
    "optimization_metrics": "",
    "search_size": "",
    "num_threads": "",
    "algorithm": "",
    "out_prefix": "",
    "live_status": "",
    "diagnostics": "",
    "max_temporal_loops_in_a_mapping": "",
    "timeout": _ENDS,
    "heartbeat": _ENDS,
    "victory_condition": _ENDS,
    "max_permutations_per_if_visit": "every order of loops is searched",
    "max_permutations_per_if": "every order of loops is searched",
    "penalize_consecutive_bypass_fails": _ENDS,
    "filter_revisits": "no mapping is priced for nothing",
    "sync_interval": "threads share what they find",
    "log_interval": _PRINTS,
    "log_stats": _PRINTS,
    "log_suboptimal": _PRINTS,
    "log_all": _PRINTS,
    "log_all_mappings": _PRINTS,
    "log_mappings_yaml": _PRINTS,
    "log_mappings_verbose": _PRINTS,
    "log_oaves": _ONE_LINE,
    "log_oaves_mappings": _PRINTS,
    "log_orojenesis_mappings": _PRINTS,
    "emit_whoop_nest": _PRINTS,
}
#: Values that ask for nothing, of which nothing is said.
_OFF = frozenset({"false", "no", "off", "0", "none", "null", "-1"})


@dataclass(frozen=True)
class MapperDirectives:
    """What a ``mapper`` block asks for.

    Attributes:
        metrics: what is minimised; each decides between mappings that are equal in those before.
            ``delay``, ``energy``, ``edp``, or ``accesses-N``: all scalar accesses of storage
            level N, counted from the inside.
        search_size: mappings to price, over all threads; None: not said.
        threads: None: not said.
        algorithm: timeloop-mapper's search; a hint.
        out_prefix: of the files that timeloop-mapper writes.
        live_status: whether to report progress.
        max_temporal_loops: that a mapping may have, those of one iteration not counted.
        oaves: whether ``oaves.csv`` is to be written.
        notes: one line for each key that has no effect here.
    """

    metrics: tuple[str, ...] = ("edp",)
    search_size: int | None = None
    threads: int | None = None
    algorithm: str | None = None
    out_prefix: str = "timeloop-mapper"
    live_status: bool = False
    max_temporal_loops: int | None = None
    oaves: bool = False
    notes: tuple[str, ...] = ()


def read_mapper(root: Entry, levels: int) -> MapperDirectives:
    """Return what the ``mapper`` block of an input with ``levels`` storage levels asks for.

    Raises:
        SpecError: an unknown key, metric or algorithm, or a value of the wrong kind.
    """
    block = root.get("mapper")
    if block is None or not block.node.value:
        return MapperDirectives(notes=("no mapper block: the EDP is minimised",))
    size = block.get("search_size")
    threads = block.get("num_threads")
    algorithm = block.get("algorithm")
    prefix = block.get("out_prefix")
    live = block.get("live_status")
    oaves = block.get("log_oaves")
    most = block.get("max_temporal_loops_in_a_mapping")
    return MapperDirectives(
        metrics=_metrics(block, levels),
        search_size=(size.integer() or None) if size is not None else None,
        threads=threads.integer(1, 4096) if threads is not None else None,
        algorithm=_algorithm(algorithm) if algorithm is not None else None,
        out_prefix=_prefix(prefix) if prefix is not None else "timeloop-mapper",
        live_status=live.boolean() if live is not None else False,
        max_temporal_loops=_loops(most) if most is not None else None,
        oaves=oaves.boolean() if oaves is not None else False,
        notes=tuple(_notes(block)),
    )


def metrics_of(names: Iterable[str], levels: int) -> tuple[str, ...]:
    """Return metrics in the words of `MapperDirectives`; timeloop-mapper's own are known, too.

    Raises:
        SpecError: one is unknown, or counts accesses of a level beyond the ``levels``.
    """
    found: list[str] = []
    for given in names:
        name = given.strip().lower()
        plain = name.replace("-", "_")
        counted = _ACCESSES.fullmatch(plain)
        if plain == _ORDERED:
            found += [f"accesses-{s}" for s in reversed(range(levels))]
        elif plain == _LAST_LEVEL:
            found.append(f"accesses-{levels - 1}")
        elif counted is not None and int(counted[1]) < levels:
            found.append(f"accesses-{int(counted[1])}")
        elif name in METRICS:
            found.append(name)
        else:
            known = [*METRICS, _LAST_LEVEL, _ORDERED, f"accesses-0 to accesses-{levels - 1}"]
            raise SpecError(unknown_name("metric", name[:80], known))
    return tuple(dict.fromkeys(found)) or ("edp",)


def _metrics(block: Entry, levels: int) -> tuple[str, ...]:
    entry = block.get("optimization_metric", "optimization_metrics")
    if entry is None:
        return ("edp",)
    names = entry.names("expected metrics") if entry.is_list else [entry.text("expected a metric")]
    try:
        return metrics_of(names, levels)
    except SpecError as error:
        raise entry.refuse(str(error)) from error


def _algorithm(entry: Entry) -> str:
    name = entry.text("expected the name of an algorithm").replace("-", "_")
    if name not in _ALGORITHMS:
        raise entry.fail(unknown_name("algorithm", name[:80], _ALGORITHMS))
    return name


def _loops(entry: Entry) -> int | None:
    """Return a limit on temporal loops; anything below 1 is none, as in Timeloop."""
    if entry.node.value in ("-1", "0"):
        return None
    return entry.integer(1, 2**31 - 1)


def _prefix(entry: Entry) -> str:
    name = entry.text("expected the beginning of file names")
    if "/" in name or "\0" in name or name in ("", ".", ".."):
        raise entry.fail("expected the beginning of file names, without folders")
    return name


def _notes(block: Entry) -> Iterator[str]:
    for key, entry in block.pairs():
        effect = _KEYS.get(key.replace("-", "_"))
        if effect is None:
            raise entry.refuse(unknown_name("key", key[:80], _KEYS))
        asked = entry.is_scalar and str(entry.node.value).lower() not in _OFF
        if effect and asked:
            unused = "" if effect is _ONE_LINE else "not used, "
            yield f"mapper.{key} = {entry.node.value}: {unused}{effect}"
