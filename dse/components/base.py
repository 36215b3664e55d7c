"""The contract of an energy chain: what prices an architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path

from dse.domain.architecture import Architecture, Compute, StorageLevel
from dse.domain.technology import Technology


class EnergyChain(ABC):
    """Prices architectures. Never compare results of two chains: the chain is part of a result."""

    #: what it is called on the command line and in results
    name: str
    #: one line for people
    summary: str
    #: whether prices depend on sizes and widths, or stand in a table for one hardware
    follows_sizes: bool = True
    #: files outside of the package that its prices are read from
    files: tuple[Path, ...] = ()

    def price(self, architecture: Architecture) -> Architecture:
        """Return the architecture with its energies (pJ) and areas (um^2) filled in.

        Raises:
            SpecError: a component lies outside what the chain knows.
        """
        technology = architecture.technology
        return replace(
            architecture,
            levels=tuple(self.price_storage(level, technology) for level in architecture.levels),
            compute=self.price_compute(architecture.compute, technology),
        )

    @abstractmethod
    def price_storage(self, level: StorageLevel, technology: Technology | None) -> StorageLevel:
        """Return the level with its prices."""

    @abstractmethod
    def price_compute(self, compute: Compute, technology: Technology | None) -> Compute:
        """Return the compute with its prices."""
