"""Reads Timeloop's ``sparse_optimizations``, and what levels and tables say for them.

Keys count in the spellings that the version of Timeloop reads: 3.0.3 knows hyphens only, 4cf6d4c
underscores and, but for ``payload-word-bits``, hyphens. Others are ignored, as Timeloop ignores
them, with a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace

from dse.domain.architecture import Architecture
from dse.domain.problem import Problem
from dse.domain.sparse import (
    FORMATS,
    RankFormat,
    Saving,
    SavingOptions,
    SparseDesign,
    SparseLevel,
    TensorFormat,
)
from dse.errors import SpecError, unknown_name
from dse.timeloop.read.component_tree import find_components
from dse.timeloop.read.densities import read_densities
from dse.timeloop.read.sparse_levels import sparse_level
from dse.timeloop.read.sparse_prices import compute_energies_pj, storage_energies_pj
from dse.timeloop.read.tables import EnergyTable
from dse.timeloop.read.unread import check_keys
from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)
_UINT32 = 2**32 - 1
_PARTS = ("action_optimization", "representation_format", "compute_optimization")
_ACTION = frozenset({"type", "target", "condition_on", "options"})
_TENSOR = frozenset({"name", "ranks", "rank_application_order", "compression_rate"})
_RANK = frozenset({"format", "metadata_word_bits", "payload_word_bits", "flattened_rankIDs"})
#: Names of what a level can save, and of what the computes can, with the fields that hold it.
_SAVES = ("gating", "skipping", "skipping_spatial")
_COMPUTES = {
    "gate_on_zero_operand": "gates_computes",
    "gating": "gates_computes",
    "skip_on_not_aligned_operands": "skips_computes",
    "skipping": "skips_computes",
}
_ORDERS = {"inner_to_outer": True, "outer_to_inner": False}
#: Values in two words that 3.0.3 knows with underscores.
_UNDERSCORES_3_0_3 = ("skip_on_not_aligned_operands",)
#: What 4cf6d4c does not turn into underscores.
_HYPHENS_KEPT = ("payload-word-bits", "skip-on-not-aligned-operands")


def is_sparse(root: Entry) -> bool:
    """Whether an input, in the flat form or not, names anything that is sparse."""
    given = root.get("sparse_optimizations")
    if given is not None and given.node.value:
        return True
    architecture = root.get("arch", "architecture")
    return architecture is not None and _has_sparse_nodes(architecture)


def _has_sparse_nodes(entry: Entry) -> bool:
    if not entry.is_map:
        return False
    own, nodes = entry.get("sparse_optimizations"), entry.get("nodes")
    if own is not None and own.node.value:
        return True
    return nodes is not None and nodes.is_list and any(map(_has_sparse_nodes, nodes.items()))


def read_sparse(
    root: Entry,
    entry: Entry,
    architecture: Architecture,
    problem: Problem,
    energies: EnergyTable | None,
    timeloop_version: str,
) -> SparseDesign | None:
    """Read ``sparse_optimizations``; None where they ask for nothing.

    Args:
        root: the whole input, in the flat form.
        entry: the section.
        architecture: read from the input.
        problem: read from the input.
        energies: the ERT; None: built-in energies.
        timeloop_version: whose spellings and actions count.

    Raises:
        SpecError: naming file, key and value; where Timeloop stops with a message, with that.
    """
    place = root.get("arch", "architecture")
    assert place is not None
    components, _, _ = find_components(place)
    design = read_targets(
        entry,
        {component.name: sparse_level(component, timeloop_version) for component in components},
        architecture.compute.name,
        timeloop_version,
        problem,
    )
    if design is None:
        return None
    table = energies or EnergyTable()
    levels = []
    for level, own, component in zip(architecture.levels, design.levels, components, strict=True):
        # a level that gives the energy of its accesses by itself
        user_priced = component.attributes.get("vector_access_energy") is not None
        found = storage_energies_pj(level, user_priced, table, timeloop_version)
        levels.append(replace(own, energies_pj=found))
    given = root.get("problem")
    return replace(
        design,
        densities={} if given is None else read_densities(given, problem, timeloop_version),
        levels=tuple(levels),
        compute_energies_pj=compute_energies_pj(architecture.compute, table),
    )


def read_targets(
    entry: Entry,
    levels: Mapping[str, SparseLevel],
    compute: str,
    timeloop_version: str,
    problem: Problem | None = None,
) -> SparseDesign | None:
    """Read ``sparse_optimizations`` for levels of which the metadata's storage is known.

    Args:
        entry: the section.
        levels: by name, from the inside.
        compute: name of the compute.
        timeloop_version: whose spellings count.
        problem: whose names it may use; None: any.

    Returns:
        The design, without densities and energies; None where the section asks for nothing.

    Raises:
        SpecError: as `read_sparse`.
    """
    reader = _SparseReader(levels, compute, problem, timeloop_version)
    if not entry.is_map:
        raise entry.fail("expected a map with targets")
    for key, item in entry.pairs():
        check_keys(item, key, {"targets", "version"})
    targets = entry.get("targets")
    for target in targets.items("expected a list of targets") if targets is not None else ():
        reader.apply(target)
    if not reader.applied:
        return None
    gates, skips = (reader.computes.get(key, False) for key in ("gates_computes", "skips_computes"))
    return SparseDesign({}, tuple(reader.levels), gates, skips)


class _SparseReader:
    """The state that the targets build up."""

    def __init__(
        self,
        levels: Mapping[str, SparseLevel],
        compute: str,
        problem: Problem | None,
        version: str,
    ) -> None:
        self._names, self._compute, self._version = list(levels), compute, version
        self._problem = problem
        self.levels = list(levels.values())
        self.computes: dict[str, bool] = {}
        self.applied = False
        self._formatted: set[int] = set()

    def apply(self, target: Entry) -> None:
        """Take over what one target says."""
        given = self._read(target, {"name", *_PARTS})
        parts = [key for key in _PARTS if key in given]
        if not parts:
            _LOG.warning("%s: has no effect, expected one of %s", target.where, ", ".join(_PARTS))
            return
        self.applied = True
        if "name" not in given:
            raise target.refuse("key 'name' is missing, expected a storage level or the compute")
        if "action_optimization" in given:
            self._add_savings(self._level(given["name"]), given["action_optimization"])
        if "representation_format" in given:
            self._add_formats(self._level(given["name"]), given["representation_format"])
        if "compute_optimization" in given:
            name = given["name"].text()
            if name != self._compute:
                raise given["name"].fail(
                    f"expected the compute '{self._compute}' (Timeloop aborts)"
                )
            self._add_computes(given["compute_optimization"])

    def _add_computes(self, entry: Entry) -> None:
        self.computes = {}
        for item in entry.items("expected a list of optimizations"):
            kind = self._read(item, {"type"}).get("type")
            if kind is None:
                continue
            name = self._word(kind)
            if name not in _COMPUTES:
                raise kind.fail(
                    f"expected one of {', '.join(_COMPUTES)}\nERROR: compute optimization type not "
                    f"recognized: {kind.text()[:500]}"
                )
            self.computes[_COMPUTES[name]] = True

    def _add_savings(self, s: int, entry: Entry) -> None:
        found: dict[str, list[SavingOptions]] = {}
        name = self._names[s]
        for item in entry.items("expected a list of optimizations"):
            given = self._read(item, _ACTION)
            if "type" not in given:
                raise item.refuse(f"key 'type' is missing, expected one of {', '.join(_SAVES)}")
            kind = self._word(given["type"])
            if kind not in _SAVES:
                raise given["type"].fail(
                    f"expected one of {', '.join(_SAVES)} (Timeloop aborts)\n"
                    f"ERROR: {name}: storage action optimization type not recognized..."
                )
            choices = [given]
            if "options" in given:
                choices = [self._read(x, _ACTION) for x in given["options"].items()]
                if not choices:
                    raise given["options"].fail("expected one option at least (Timeloop crashes)")
            options = tuple(self._saving(item, choice, name) for choice in choices)
            found.setdefault(kind, []).append(options)
        # of several targets of one level, the last with a kind of saving holds for it
        own = self.levels[s]
        self.levels[s] = replace(
            own,
            gating=tuple(found.get("gating", own.gating)),
            skipping=tuple(found.get("skipping", own.skipping)),
            spatial_skipping=tuple(found.get("skipping_spatial", own.spatial_skipping)),
        )

    def _saving(self, item: Entry, given: dict[str, Entry], level: str) -> Saving:
        if "target" not in given or "condition_on" not in given:
            raise item.refuse(
                "expected target and condition_on\n"
                f"ERROR: {level}: storage action optimization choice not recognized..."
            )
        if not given["condition_on"].is_list:
            raise given["condition_on"].fail(
                "expected a list of data spaces\nERROR: sparse optimization spec invalid -- "
                "conditioned on dataspace(s) need to be specified as a list"
            )
        conditions = [self._tensor(x) for x in given["condition_on"].items()]
        return Saving(self._tensor(given["target"]), tuple(conditions))

    def _add_formats(self, s: int, entry: Entry) -> None:
        if s in self._formatted:
            raise entry.refuse("the level has a representation format already, expected one")
        self._formatted.add(s)
        spaces = self._read(entry, {"data_spaces"}).get("data_spaces")
        found: dict[str, TensorFormat] = {}
        for item in spaces.items("expected a list of data spaces") if spaces is not None else ():
            given = self._read(item, _TENSOR)
            if "name" not in given:
                raise item.refuse("key 'name' is missing, expected a data space")
            if "ranks" not in given:
                raise item.refuse(
                    "key 'ranks' is missing, expected a list of formats\nkeyword \"ranks\" missing "
                    f"in data representation specification: {self._names[s]}"
                )
            ranks = [self._rank(s, rank) for rank in given["ranks"].items("expected a list")]
            order = given.get("rank_application_order")
            inner = self._order(order) if order is not None else False
            try:
                found[self._tensor(given["name"])] = TensorFormat(tuple(ranks[::-1]), inner)
            except SpecError as error:
                raise item.refuse(str(error)) from error
        self.levels[s] = replace(self.levels[s], formats=found)

    def _order(self, entry: Entry) -> bool:
        name = self._word(entry)
        if name not in _ORDERS:
            raise entry.fail(
                f"expected one of {', '.join(_ORDERS)}\nERROR: compression rank application order "
                f"not recognized: {entry.text()[:500]}"
            )
        return _ORDERS[name]

    def _rank(self, s: int, entry: Entry) -> RankFormat:
        given = self._read(entry, _RANK)
        if "format" not in given:
            raise entry.refuse(
                "key 'format' is missing, expected one of "
                f"{', '.join(FORMATS)}\nERROR: data representation format specification: keyword "
                '"format" missing'
            )
        written = given["format"].text()
        name = written.lower()
        if name not in FORMATS or written not in (name, name.upper()):
            raise given["format"].fail(
                f"expected one of {', '.join(FORMATS)}\nERROR: parsing specs... unrecognized "
                f"metadata format name: {written[:500]}"
            )
        asked: dict[str, int | None] = {"metadata": 1 if name == "b" else None, "payload": None}
        for what in asked if name != "ub" else ():
            bits = given.get(f"{what}_word_bits")
            if bits is not None:
                asked[what] = bits.integer(0, _UINT32)
        groups = given.get("flattened_rankIDs")
        return RankFormat(
            name,
            self._bits(s, entry, asked["metadata"]),
            self._bits(s, entry, asked["payload"]),
            tuple(self._group(x) for x in groups.items()) if groups is not None else (),
        )

    def _group(self, entry: Entry) -> tuple[str, ...]:
        names = entry.names("expected a list of dimensions")
        for name in names:
            if self._problem is not None and name not in self._problem.dimensions:
                raise entry.fail(unknown_name("dimension", name[:80], self._problem.dimensions))
        return tuple(names)

    def _bits(self, s: int, entry: Entry, asked: int | None) -> int:
        """Return a width that the rows of the level's metadata can hold without a rest."""
        metadata = self.levels[s].metadata
        width = metadata.width_bits
        bits = metadata.word_bits if asked is None else asked
        if asked and width % asked:
            bits = next((b for b in range(asked, 2 * asked) if width % b == 0), 2 * asked)
        if bits > width:
            name = self._names[s]
            raise entry.refuse(
                f"{bits} bits, expected at most metadata_storage_width = {width} of level '{name}'"
                "\nERROR: specified format representation  word bits > metadata storage width at "
                f"{name}"
            )
        return bits

    def _level(self, entry: Entry) -> int:
        name = entry.text()
        if name not in self._names:
            raise entry.fail(
                f"{unknown_name('storage level', name[:80], self._names)}\n"
                f"ERROR: target storage level not found: {name[:500]}"
            )
        return self._names.index(name)

    def _tensor(self, entry: Entry) -> str:
        name = entry.text("expected a data space")
        if self._problem is not None and name not in self._problem.tensors:
            raise entry.fail(
                f"{unknown_name('data space', name[:80], self._problem.tensors)} (Timeloop aborts)"
            )
        return name

    def _word(self, entry: Entry) -> str:
        """Return a value with underscores; as it is where this version does not know it so."""
        text = entry.text()
        known = _is_read(text, self._version) or text in _UNDERSCORES_3_0_3
        return text.replace("-", "_") if known else text.replace("_", "-")

    def _read(self, entry: Entry, known: Collection[str]) -> dict[str, Entry]:
        """Return what this version reads of a map, by keys with underscores."""
        found = {}
        if not entry.is_map:
            raise entry.fail(f"expected a map with some of {', '.join(sorted(known))}")
        for key, item in entry.pairs():
            check_keys(item, key, known)
            if key.replace("-", "_") not in known or item.node.is_null:
                continue
            if _is_read(key, self._version):
                found[key.replace("-", "_")] = item
            elif _other_spelling(key) not in entry.mapping():
                _LOG.warning(
                    "%s: is ignored, as Timeloop %s does not read it so", item.where, self._version
                )
        return found


def _other_spelling(key: str) -> str:
    return key.replace("-", "_") if "-" in key else key.replace("_", "-")


def _is_read(word: str, version: str) -> bool:
    """Whether a version reads a word in that spelling."""
    return word not in _HYPHENS_KEPT if version == "4cf6d4c" else "_" not in word
