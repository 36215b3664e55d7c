"""The section ``sparse_optimizations`` of a template, in the syntax of Timeloop's files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from dse.domain.attribute import check, declared
from dse.domain.expression import Number
from dse.domain.sparse import MetadataStorage, SparseDesign, SparseLevel
from dse.errors import SpecError
from dse.space.given import given
from dse.space.schema import TemplateSpec
from dse.timeloop.read.sparse import read_targets
from dse.timeloop.yaml.nodes import plain_entry

_VERSION = "4cf6d4c"
#: Sizes of metadata for which the section was read lately.
_KEPT = 256


#: Keys of levels that have no effect without the section.
_KEYS = {
    "sparse_pj",
    *(x.template for part in (MetadataStorage, SparseLevel) for x in declared(part)),
}


class SparseSection:
    """What is sparse of a template's designs.

    Args:
        spec: of the template, with the section.
        where: the file's name, for messages.
    """

    def __init__(self, spec: TemplateSpec, where: str) -> None:
        content = dict(spec.sparse_optimizations or {})
        self._spec = spec
        self._entry = plain_entry(content, where, "sparse_optimizations")
        self._read = lru_cache(_KEPT)(self._read_once)

    @classmethod
    def of(cls, spec: TemplateSpec, where: str) -> SparseSection | None:
        """Return the section of a template; None where it has none.

        Raises:
            SpecError: it has none, but a level has a key that asks for one.
        """
        if spec.sparse_optimizations is not None:
            return cls(spec, where)
        for level in spec.storage:
            own = sorted(level.model_fields_set & _KEYS)
            if own:
                raise SpecError(
                    f"{where}: {level.name}.{own[0]}: has no effect without the key "
                    "'sparse_optimizations'"
                )
        return None

    def design(self, values: Mapping[str, Number]) -> SparseDesign:
        """Return the design at values of the variables, without densities.

        Raises:
            SpecError: naming file, key and value.
        """
        levels = {
            spec.name: SparseLevel(
                MetadataStorage(**given(MetadataStorage, spec, values)),
                **given(SparseLevel, spec, values),
                energies_pj=spec.sparse_pj,
            )
            for spec in reversed(self._spec.storage)
        }
        for name, level in levels.items():
            check(level, f"level '{name}'")
            check(level.metadata, f"metadata of level '{name}'")
        made = self._read(tuple(levels.items()))
        prices = tuple(level.energies_pj for level in levels.values())
        return made.with_prices(prices, self._spec.compute.sparse_pj)

    def _read_once(self, levels: tuple[tuple[str, SparseLevel], ...]) -> SparseDesign:
        found = read_targets(self._entry, dict(levels), self._spec.compute.name, _VERSION)
        if found is None:
            raise SpecError(
                f"{self._entry.where}: asks for nothing, expected targets with "
                "representation_format, action_optimization or compute_optimization"
            )
        return found
