"""Networks that an architecture declares by name, in place of those inferred between levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from dse.errors import SpecError

#: ``Legacy`` is an X-Y mesh; ``SimpleMulticast`` is priced per transfer and multicast factor;
#: ``ReductionTree`` adds up on the way and carries updates only.
NetworkKind = Literal["Legacy", "SimpleMulticast", "ReductionTree"]


@dataclass(frozen=True)
class Transfer:
    """Energy of one transfer of a SimpleMulticast network.

    Attributes:
        tensor: the data space that it prices; None for all.
        multicast: the multicast factor that it prices; None for all.
        energy_pj: of one transfer.
    """

    tensor: str | None
    multicast: int | None
    energy_pj: float


@dataclass(frozen=True)
class DeclaredNetwork:
    """A network that levels name; what a kind does not read stays at its default.

    Raises:
        SpecError: the kind is unknown.
    """

    name: str
    kind: NetworkKind = "Legacy"
    word_bits: int = 16
    fill_latency_cycles: int = 0
    hop_energy_pj: float | None = None
    wire_energy_pj: float = 0.0
    router_energy_pj: float = 0.0
    ingress_energy_pj: float = 0.0
    tile_width_um: float | None = None
    adder_energy_pj: float = 0.0
    transfers: tuple[Transfer, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(NetworkKind):
            raise SpecError(
                f"network '{self.name}': kind = {self.kind!r}, expected one of "
                f"{', '.join(get_args(NetworkKind))}"
            )

    def hop_pj(self, tile_width_um: float) -> float:
        """Energy of a word over one hop, where the level below has tiles of that width."""
        if self.hop_energy_pj is not None:
            return self.hop_energy_pj
        width = tile_width_um if self.tile_width_um is None else self.tile_width_um
        return self.word_bits * (width / 1000.0) * self.wire_energy_pj

    def transfer_pj(self, tensor: str, multicast: int) -> float:
        """Energy of a transfer to so many; 0 where the table does not have it."""
        found = 0.0
        for transfer in self.transfers:
            fits = transfer.tensor in (None, tensor) and transfer.multicast in (None, multicast)
            found = transfer.energy_pj if fits else found
        return found
