"""Evaluates one mapping with a real ``timeloop-model``."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.errors import InvalidMapping, ToolError
from dse.model.stats import LevelStats, Stats
from dse.process.folder import own_folder, result_text
from dse.process.limits import Limits
from dse.process.run import FinishedProcess, ending, run
from dse.timeloop.write.inputs import (
    architecture_yaml,
    art_yaml,
    ert_yaml,
    mapping_yaml,
    problem_yaml,
)
from dse.tools.map_xml import XmlStats, parse_map_xml
from dse.tools.stats_file import parse_stats

INPUT = "input.yaml"
#: Folders of failed runs that are kept; a run that goes on after failures must not fill the disk.
MOST_KEPT = 20
_STATS = "timeloop-model.stats.txt"
_MAP_XML = "timeloop-model.map+stats.xml"
#: Without it, today's Timeloop leaves levels out of its files.
ENVIRONMENT = {"TIMELOOP_HIDE_INCONSEQUENTIAL_STATS": "0"}
DEFAULT_LIMITS = Limits(timeout_s=60.0, memory_bytes=4 * 2**30)

_REJECTED = re.compile(r"^ERROR: couldn't map level .*$", re.MULTILINE)
#: Half a unit of the last place that Timeloop prints, in pJ.
_PRINTED_PJ = 0.005


class ModelRunner:
    """Runs ``timeloop-model``, every time in a folder of its own."""

    def __init__(self, binary: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self.binary = binary
        self.limits = limits
        self._failures = 0

    def text(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> str:
        """Return the whole input as one YAML text.

        Raises:
            SpecError: something that Timeloop's files cannot express.
        """
        return (
            hardware_text(architecture)
            + problem_text(problem)
            + mapping_yaml(mapping, architecture, problem)
        )

    def stats(self, text: str, problem: Problem, *, perfect: bool = True) -> Stats:
        """Run the model on an input text; of many failed runs the first folders are kept.

        Raises:
            InvalidMapping: Timeloop rejects the mapping; the message is its own line.
            ToolError: the run failed in any other way; the message holds the command that
                reproduces it in its folder.
        """
        with own_folder(keep=self._failures < MOST_KEPT) as folder:
            (folder / INPUT).write_text(text, encoding="utf-8")
            command = [str(self.binary), INPUT]
            try:
                finished = run(command, folder, self.limits, ENVIRONMENT)
                return read_run(folder, finished, problem, perfect=perfect)
            except ToolError:
                self._failures += 1
                raise


def read_run(
    folder: Path, finished: FinishedProcess, problem: Problem, *, perfect: bool = True
) -> Stats:
    """Return the results of a run that has ended.

    Of ``perfect`` factors, the operations that Timeloop counts must be the problem's.

    Raises:
        InvalidMapping: Timeloop rejected the mapping.
        ToolError: it failed, or its results are missing, incomplete or at odds.
    """
    rejected = _REJECTED.search(finished.output)
    if rejected and finished.returncode > 0:
        raise InvalidMapping(rejected[0].strip())
    if finished.returncode != 0:
        raise finished.failure(f"timeloop-model {ending(finished.returncode)}")
    try:
        printed = parse_stats(result_text(folder / _STATS))
        exact = parse_map_xml(result_text(folder / _MAP_XML), problem.tensors)
        if perfect and exact.computes != problem.macs:
            raise ToolError(f"they are of {exact.computes} operations, expected {problem.macs}")
        return joined(printed, exact)
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise finished.failure(
            f"timeloop-model ended without an error, but wrote no {name}"
        ) from error
    except ToolError as error:
        raise finished.failure(
            f"timeloop-model wrote files that cannot be read: {error}"
        ) from error


def joined(printed: Stats, exact: XmlStats) -> Stats:
    """Join the printed statistics with the full precision of the XML file.

    Raises:
        ToolError: the two do not belong to the same run.
    """
    levels = {}
    for name, level in exact.levels.items():
        if name not in printed.levels:
            raise ToolError(f"the stats file lacks level '{name}', which map+stats.xml has")
        shown = printed.levels[name]
        if shown.cycles != level.cycles:
            raise ToolError(f"level '{name}' has {shown.cycles} and {level.cycles} cycles")
        levels[name] = LevelStats(
            cycles=level.cycles,
            slowdown=level.slowdown,
            area_um2=shown.area_um2,
            leak_energy_pj=shown.leak_energy_pj,
            tensors=level.tensors,
        )
    energy_pj = exact.energy_pj + sum(level.leak_energy_pj for level in levels.values())
    # the summary has two digits of a microjoule; a wrong sum shows well before that
    if abs(energy_pj - printed.energy_pj) > (0.005 + 1e-9) * 1e6 + 1e-6 * energy_pj:
        raise ToolError(f"the energy is {printed.energy_pj:g} pJ, its parts sum to {energy_pj:g}")
    return Stats(
        cycles=printed.cycles,
        energy_pj=energy_pj,
        area_um2=printed.area_um2,
        utilization=printed.utilization,
        computes=exact.computes,
        compute_energy_pj=exact.compute_energy_pj,
        levels=levels,
        networks=exact.networks,
    )


def printed_error_pj(stats: Stats) -> float:
    """Return how far the total energy may be off for want of digits: leakage is only printed."""
    return _PRINTED_PJ * sum(1 for level in stats.levels.values() if level.leak_energy_pj > 0)


@lru_cache(maxsize=256)
def hardware_text(architecture: Architecture) -> str:
    """Return architecture, ERT and ART as YAML; raises SpecError as `ModelRunner.text` does."""
    return architecture_yaml(architecture) + ert_yaml(architecture) + art_yaml(architecture)


@lru_cache(maxsize=256)
def problem_text(problem: Problem) -> str:
    """Return the problem as YAML; raises SpecError as `ModelRunner.text` does."""
    return problem_yaml(problem)
