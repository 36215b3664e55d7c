"""The result of ``dse.run`` as people use it: tables, plots, a line for the prompt."""

from __future__ import annotations

import html
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

from dse.report.frames import front_frame, journal_frame, layers_frame, levels_frame
from dse.report.plots import Plots
from dse.report.units import value_of
from dse.study.result import RunResult

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class SearchResult(RunResult):
    """The best design of a run, with its tables (pandas) and plots (matplotlib)."""

    @classmethod
    def of(cls, found: RunResult) -> SearchResult:
        """Return what a run found as such a result."""
        return cls(**{f.name: getattr(found, f.name) for f in fields(found)})

    @cached_property
    def layers(self) -> pd.DataFrame:
        """See :func:`dse.report.frames.layers_frame`."""
        return layers_frame(self)

    @cached_property
    def journal(self) -> pd.DataFrame:
        """See :func:`dse.report.frames.journal_frame`."""
        return journal_frame(self.folder)

    @cached_property
    def front(self) -> pd.DataFrame:
        """See :func:`dse.report.frames.front_frame`; ``front_members`` are the designs."""
        return front_frame(self)

    @cached_property
    def levels(self) -> pd.DataFrame:
        """See :func:`dse.report.frames.levels_frame`."""
        return levels_frame(self)

    @property
    def plot(self) -> Plots:
        """Plots: ``convergence()``, ``energy()``, ``roofline()``, ``pareto()``."""
        return Plots(self)

    @property
    def _rows(self) -> list[tuple[str, str]]:
        """What is told of it in short."""
        hardware = "  ".join(f"{name}={value}" for name, value in self.labels.items())
        proof = (self.certificate or {}).get("status")
        return [
            ("workload", f"{self.workload.name} on {self.architecture.name}"),
            (self.objective, value_of(self.objective, self.unit, self.value)),
            ("hardware", hardware),
            ("cycles", f"{self.metrics.cycles:,.0f}"),
            ("energy", f"{self.metrics.energy_pj / 1e6:,.2f} uJ"),
            ("search", f"{self.settings['optimizer']['name']}, {self.samples:,} samples"),
            *([("proof", str(proof))] if proof else []),
            ("folder", str(self.folder)),
        ]

    def __repr__(self) -> str:
        told = dict(self._rows)
        return (
            f"<{told['workload']}: {self.objective} {told[self.objective]}, {told['hardware']}, "
            f"{told['search']}, {told['folder']}>"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in self._rows
        )
        return f"<table>{rows}</table>"
