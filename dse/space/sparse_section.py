"""The section ``sparse_optimizations`` of a template, in the syntax of Timeloop's files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dse.domain.sparse import SparseDesign, SparseLevel
from dse.errors import SpecError
from dse.timeloop.read.sparse import read_targets
from dse.timeloop.yaml.nodes import plain_entry

_VERSION = "4cf6d4c"
#: Sizes of metadata for which the section was read lately.
_KEPT = 256


class SparseSection:
    """What is sparse of a template's designs.

    Args:
        content: of the section.
        where: the file's name, for messages.
        compute: name of the MACs.
    """

    def __init__(self, content: Mapping[str, Any], where: str, compute: str) -> None:
        self._entry = plain_entry(dict(content), where, "sparse_optimizations")
        self._compute = compute
        self._read = lru_cache(_KEPT)(self._read_once)

    def build(
        self, levels: Mapping[str, SparseLevel], compute_pj: Mapping[str, float]
    ) -> SparseDesign:
        """Return the design, without densities.

        Args:
            levels: by name, from the inside: where they keep metadata, and prices that are given.
            compute_pj: of gated and skipped operations, where the template gives them.

        Raises:
            SpecError: naming file, key and value.
        """
        given = tuple(levels.items())
        made = self._read(given)
        prices = tuple(level.energies_pj for level in levels.values())
        return made.with_prices(prices, compute_pj)

    def _read_once(self, levels: tuple[tuple[str, SparseLevel], ...]) -> SparseDesign:
        found = read_targets(self._entry, dict(levels), self._compute, _VERSION)
        if found is None:
            raise SpecError(
                f"{self._entry.where}: asks for nothing, expected targets with "
                "representation_format, action_optimization or compute_optimization"
            )
        return found
