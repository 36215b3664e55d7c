"""``energy=ert:PATH``: prices from Accelergy's own tables (ERT and ART) in files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dse.components.base import EnergyChain
from dse.domain.architecture import AccessEnergy, Compute, StorageLevel
from dse.errors import SpecError, unknown_name
from dse.timeloop.read.sparse_prices import compute_energies_pj, storage_energies_pj
from dse.timeloop.read.tables import EnergyTable, read_art, read_ert
from dse.timeloop.yaml.io import load_files

if TYPE_CHECKING:
    from dse.domain.sparse import SparseDesign, SparseLevel
    from dse.domain.technology import Technology


class ErtChain(EnergyChain):
    """Prices by component name from an ERT; areas from an ART, or 0 where there is none.

    The tables hold for one hardware: a level that they do not name is an error. The same table
    priced for other sizes would be wrong without a word, so fix the variables that it depends on.
    """

    name = "ert"
    summary = "Accelergy's ERT (and ART) from files, as ert:FILE or ert:FOLDER"
    follows_sizes = False

    def __init__(
        self,
        table: EnergyTable,
        areas_um2: dict[str, float],
        where: str,
        files: Iterable[Path] = (),
    ) -> None:
        self._table = table
        self._areas_um2 = areas_um2
        self._where = where
        self.files = tuple(files)

    @classmethod
    def read(cls, path: str) -> Self:
        """Read a file with the keys ERT and ART, or a folder of YAML files that have them.

        Raises:
            SpecError: no path, no such file, or no ERT in it.
        """
        if not path:
            raise SpecError("energy chain 'ert' needs a path: ert:FILE or ert:FOLDER")
        place = Path(path).expanduser()
        paths = [place]
        if place.is_dir():
            paths = [p for p in (place / "ERT.yaml", place / "ART.yaml") if p.is_file()]
        if not paths:
            raise SpecError(f"{place}: holds no ERT.yaml")
        root = load_files(paths)
        ert, art = root.get("ERT"), root.get("ART")
        if ert is None:
            raise SpecError(f"{place}: has no key 'ERT'")
        return cls(read_ert(ert), read_art(art) if art is not None else {}, str(place), paths)

    def price_storage(self, level: StorageLevel, technology: Technology | None) -> StorageLevel:  # noqa: ARG002
        """See :meth:`dse.components.base.EnergyChain.price_storage`."""
        if level.kind == "dummy_storage":
            return replace(level, energy=AccessEnergy(), area_um2=0.0)
        self._known(level.name)
        found = self._table.prices(level.name, AccessEnergy, "4cf6d4c")
        for key in ("read_pj", "fill_pj", "update_pj"):
            if found[key] is None:
                access = key.removesuffix("_pj")
                raise SpecError(f"{self._where}: component '{level.name}' has no {access} energy")
        energy = AccessEnergy(**{key: pj for key, pj in found.items() if pj is not None})
        return replace(level, energy=energy, area_um2=self._areas_um2.get(level.name, 0.0))

    def price_compute(self, compute: Compute, technology: Technology | None) -> Compute:  # noqa: ARG002
        """See :meth:`dse.components.base.EnergyChain.price_compute`."""
        self._known(compute.name)
        energy_pj = self._table.prices(compute.name, Compute, "4cf6d4c")["energy_pj"]
        if energy_pj is None:
            raise SpecError(f"{self._where}: component '{compute.name}' has no compute energy")
        area_um2 = self._areas_um2.get(compute.name, 0.0)
        return replace(compute, energy_pj=energy_pj, area_um2=area_um2)

    def price_sparse(
        self,
        level: StorageLevel,
        own: SparseLevel,  # noqa: ARG002
        technology: Technology | None,  # noqa: ARG002
    ) -> tuple[dict[str, float], float]:
        """See :meth:`dse.components.base.EnergyChain.price_sparse`; as Timeloop reads the table."""
        return storage_energies_pj(level, False, self._table, "4cf6d4c"), 0.0

    def price_saved_computes(self, compute: Compute, design: SparseDesign) -> dict[str, float]:  # noqa: ARG002
        """See :meth:`dse.components.base.EnergyChain.price_saved_computes`; as Timeloop does."""
        return compute_energies_pj(compute, self._table)

    def _known(self, name: str) -> None:
        if name not in self._table.components:
            raise SpecError(
                f"{self._where}: " + unknown_name("component", name, self._table.components)
            )
