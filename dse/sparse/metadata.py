"""How much metadata a tile has that holds so many words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.domain.sparse import TensorFormat
from dse.numeric import Ints
from dse.sparse.densities import Sides
from dse.sparse.format_units import FORMAT_CODES, format_units
from dse.sparse.ranks import RankedTile
from dse.sparse.tiles import TensorTiles

#: Of each unit of a rank: metadata, and payload.
METADATA, PAYLOAD = 0, 1


def metadata_units(
    tensor: TensorTiles, s: int, ranked: RankedTile, occupancies: Ints
) -> npt.NDArray[np.float64]:
    """Return the units of a level's tile that has each of the occupancies.

    Args:
        tensor: with a format at the level.
        s: the level.
        ranked: its tile as ranks.
        occupancies: ``(K,)``.

    Returns:
        ``(R, 2, K)``: of each rank metadata and payload.

    Raises:
        SpecError: the density is not defined for such tiles.
    """
    stored = tensor.formats[s]
    assert stored is not None
    around = tensor.tiles[s]
    lengths = ranked.fibers(tensor)
    found = np.zeros((len(stored.ranks), 2, len(occupancies)))
    fibers = 1
    current: Sides = around
    for r in reversed(range(len(stored.ranks))):
        element = ranked.subtiles[r]
        if lengths[r] > 1 or r == _always_stored(stored):
            name = stored.ranks[r].name
            nothing = np.zeros(len(occupancies))
            asks = name != "ub"
            found[r] = format_units(
                FORMAT_CODES[name],
                fibers,
                lengths[r],
                tensor.density.empty_within(current, around, occupancies) if asks else nothing,
                tensor.density.empty_within(element, around, occupancies)
                if asks and name != "uop"
                else nothing,
            )
        fibers *= lengths[r]
        current = element
    _drop_innermost_payload(found)
    return found


def _always_stored(stored: TensorFormat) -> int:
    """Return the rank that costs something even where its fibers have one element."""
    return 0 if stored.inner_to_outer else len(stored.ranks) - 1


def _drop_innermost_payload(units: npt.NDArray[np.float64]) -> None:
    """Leave out the payload of the innermost rank that has anything: it is the data itself."""
    seen = np.zeros(units.shape[2], np.bool_)
    for rank in units:
        first = ~seen & ((rank[METADATA] != 0) | (rank[PAYLOAD] != 0))
        rank[PAYLOAD][first] = 0.0
        seen |= first
