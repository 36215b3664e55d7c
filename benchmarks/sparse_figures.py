"""Figures of the Sparseloop paper from their public inputs, beside what was published.

    python benchmarks/sparse_figures.py --artifact FOLDER

FOLDER is a clone of https://github.com/Accelergy-Project/micro22-sparseloop-artifact (Wu et al.,
MICRO 2022). Nothing of it is part of this repository. Of each figure the inputs are evaluated with
the mappings that the artifact has, under the rules of Timeloop 3.0.3, whose spellings they are in:

* Fig. 1: bitmask with gating against coordinate lists with skipping, speed and energy;
* Fig. 12: cycles of a PE of Eyeriss v2 on layers of a pruned MobileNet, against the chip's own;
* Table 7: Eyeriss with compressed DRAM and gated weights against the dense chip.

Beside them stands what the artifact's Timeloop gave, of 2022, which its ``ref_outputs`` hold, and
for Fig. 12 the cycles of the design's simulation. Figs. 13 and 15 ask for ``position-skipping`` and
blocks of 64 words, at which 3.0.3 and 4cf6d4c stop.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from dse.cli.columns import table
from dse.errors import DseError
from dse.model.stats import Stats
from dse.sparse.stats import SparseTensorStats
from dse.timeloop.evaluate import evaluate_files

_SOURCE = "https://github.com/Accelergy-Project/micro22-sparseloop-artifact"
_SETUPS = Path("workspace") / "2022.micro.artifact" / "evaluation_setups"
_VERSION = "3.0.3"
_DENSITIES = ("0.01", "0.02", "0.04", "0.08", "0.1", "0.2", "0.4", "0.8")
_LAYERS = ("L07", "L27", "L21", "L13", "L19", "L25", "L23", "L09")


class Answer(NamedTuple):
    """What a model says of one input: cycles, energy, and words that DRAM moves."""

    cycles: int
    energy_uj: float
    dram_words: int


class Row(NamedTuple):
    """One number of a figure.

    Attributes:
        what: it is.
        ours: by this model.
        artifact: by the artifact's Timeloop.
        baseline: by the design itself; None: not published with it.
    """

    what: str
    ours: float
    artifact: float
    baseline: float | None = None


def evaluated(*files: Path) -> Answer:
    """Return what this model says of input files."""
    stats = evaluate_files(files, _VERSION).stats
    return Answer(stats.cycles, stats.energy_uj, _dram_words(stats))


def _dram_words(stats: Stats) -> int:
    """Return the words that are read and written at the outermost level, those left out aside."""
    words = 0
    for tensor in list(stats.levels.values())[-1].tensors.values():
        if isinstance(tensor, SparseTensorStats):
            words += tensor.random_reads + tensor.random_fills + tensor.random_updates
        else:
            words += int(tensor.reads + tensor.fills + tensor.updates)
    return words


def recorded(path: Path) -> Answer:
    """Return what a ``stats.txt`` says; the outermost level's words are the last that it counts."""
    text = path.read_text()
    cycles = re.search(r"^Cycles: (\d+)$", text, re.MULTILINE)
    energy = re.search(r"^Energy: ([\d.]+) uJ$", text, re.MULTILINE)
    words = re.findall(r"Total scalar accesses +: (\d+)", text)
    if cycles is None or energy is None or not words:
        raise DseError(f"{path}: no stats of Timeloop")
    return Answer(int(cycles[1]), float(energy[1]), int(words[-1]))


def formats(setups: Path) -> Iterator[Row]:
    """Yield Fig. 1: coordinate lists' cycles and energy over those of bitmasks."""
    place = setups / "fig1_format_comparison_setup"
    prices = [place / "ert_art" / name for name in ("ERT.yaml", "ART.yaml")]
    for density in _DENSITIES:
        ours, theirs = [], []
        for form in ("coordinate_list", "bitmask"):
            folder = place / "ref_outputs" / f"output_{density}_{form}"
            problem = place / "workload" / f"spmspm.prob.{density}.yaml"
            mapping = folder / "timeloop-mapper.map.yaml"
            design = [place / "arch" / "arch.yaml", place / "sparse-opt" / f"{form}.yaml"]
            ours.append(evaluated(*design, problem, *prices, mapping))
            theirs.append(recorded(folder / "timeloop-mapper.stats.txt"))
        for what, at in (("speed", 0), ("energy efficiency", 1)):
            lists, masks = ours
            told = theirs[0][at] / theirs[1][at]
            yield Row(f"bitmask's {what}, density {density}", lists[at] / masks[at], told)


def eyeriss_v2(setups: Path) -> Iterator[Row]:
    """Yield Fig. 12: cycles of each layer over those of the simulated design."""
    place = setups / "fig12_eyerissv2_pe_setup"
    truth = yaml.safe_load((place / "scripts" / "ground_truth_cycles.yaml").read_text())
    design = [
        place / "hardware-specs" / "designs" / "arch.yaml",
        place / "hardware-specs" / "configurations" / "SI-SW.yaml",
        place / "ert_art" / "ERT.yaml",
        place / "ert_art" / "ART.yaml",
    ]
    net = "mobilenet0.5-sparse"
    for layer in _LAYERS:
        problem = place / "workload" / net / "uniform" / f"{layer}.yaml"
        mapping = place / "mappings" / net / f"{layer}-perfect_factor.yaml"
        output = place / "ref_outputs" / "uniform_only" / layer / "uniform" / "output"
        ours = evaluated(problem, *design, mapping).cycles
        theirs = recorded(output / "timeloop-model.stats.txt").cycles
        own = truth[layer]
        yield Row(f"cycles of {layer} over the design's {own:,}", ours / own, theirs / own, 1.0)


def eyeriss(setups: Path) -> Iterator[Row]:
    """Yield Table 7: cycles, energy and DRAM words of the dense chip over the sparse one's."""
    place = setups / "table7_eyeriss_setup"
    for number in range(1, 6):
        ours, theirs = [], []
        for kind in ("dense_outputs", "ref_outputs"):
            folder = place / kind / f"alexnet_conv{number}"
            names = ("aggregated_input.yaml", "ERT.yaml", "ART.yaml")
            ours.append(evaluated(*(folder / name for name in names)))
            theirs.append(recorded(folder / "output" / "timeloop-model.stats.txt"))
        for what, at in (("cycles", 0), ("energy", 1), ("DRAM words", 2)):
            told = theirs[0][at] / theirs[1][at]
            yield Row(f"conv{number}, fewer {what}", ours[0][at] / ours[1][at], told)


FIGURES = {"Fig. 1": formats, "Fig. 12": eyeriss_v2, "Table 7": eyeriss}


def main() -> int:
    """Print the figures; 2 where the artifact is not there."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--artifact", type=Path, required=True, help=f"a clone of {_SOURCE}")
    arguments = parser.parse_args()
    setups = arguments.artifact / _SETUPS
    if not setups.is_dir():
        sys.stderr.write(f"--artifact {arguments.artifact}: no {_SETUPS} in it; see {_SOURCE}\n")
        return 2
    logging.disable(logging.WARNING)  # of keys that Timeloop passes over, too
    for name, figure in FIGURES.items():
        rows = list(figure(setups))
        cells = [(name, "here", "published", "off by", "design")]
        for row in rows:
            off = f"{row.ours / row.artifact - 1:+.2%}"
            own = "" if row.baseline is None else f"{row.baseline:.3f}"
            cells.append((row.what, f"{row.ours:.3f}", f"{row.artifact:.3f}", off, own))
        sys.stdout.write(table(cells) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
