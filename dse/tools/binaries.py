"""Finds Timeloop's binaries and says which version of Timeloop they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dse.errors import DseError, ToolError

if TYPE_CHECKING:
    from dse.domain.architecture import Architecture
    from dse.domain.mapping import Mapping
    from dse.domain.problem import Problem
    from dse.model.stats import Stats

GUIDE = "https://timeloop.csail.mit.edu/installation"
#: Variable of the environment that names each binary; without it, PATH is searched.
VARIABLES = {"timeloop-model": "DSE_TIMELOOP_MODEL", "timeloop-mapper": "DSE_TIMELOOP_MAPPER"}


def find(tool: str, given: str | None = None) -> Path:
    """Return the absolute path of ``timeloop-model`` or ``timeloop-mapper``.

    Args:
        tool: which of the two.
        given: a path from the user's settings; None = the environment's, or PATH's.

    Raises:
        ToolError: it is not there or not executable; the message says how to get it.
    """
    variable = VARIABLES[tool]
    for source, named in (("setting", given), (variable, os.environ.get(variable))):
        if not named:
            continue
        found = shutil.which(named)
        if found is None:
            raise ToolError(f"{tool}: {source} names '{named}', which is no executable file")
        return Path(found).resolve()
    found = shutil.which(tool)
    if found is None:
        raise ToolError(
            f"{tool} is not on PATH, and {variable} is not set; "
            f"how to install Timeloop: {GUIDE} (evaluator=native needs no installation)"
        )
    return Path(found).resolve()


def version(binary: Path) -> str | None:
    """Return which of the native model's versions ``timeloop-model`` computes as.

    The binary does not tell its version, so it is asked to evaluate a small mapping on which
    the versions differ.

    Returns:
        A value of :data:`dse.model.TIMELOOP_VERSIONS`; None when it is like none of them.

    Raises:
        ToolError: the binary does not work.
    """
    return _version(binary, binary.stat().st_mtime_ns)


@lru_cache
def _version(binary: Path, _modified_ns: int) -> str | None:
    from dse.tools.model_run import ModelRunner  # noqa: PLC0415 - loads numpy

    runner = ModelRunner(binary)
    return computes_as(lambda *case: runner.stats(runner.text(*case), case[1]))


def computes_as(stats: Callable[[Architecture, Problem, Mapping], Stats]) -> str | None:
    """Return which of the native model's versions a Timeloop computes as; see `version`."""
    from dse.model import TIMELOOP_VERSIONS, evaluate_one  # noqa: PLC0415 - compiled code
    from dse.timeloop.read.inputs import read_text  # noqa: PLC0415

    spec = read_text(PROBE, source="version probe")
    assert spec.mapping is not None
    case = (spec.architecture, spec.problem, spec.mapping)
    said = stats(*case)
    for name in TIMELOOP_VERSIONS:
        own = evaluate_one(*case, name)
        if said.levels.keys() == own.levels.keys() and all(
            said.levels[level].tensors[tensor].fills == own.levels[level].tensors[tensor].fills
            for level in own.levels
            for tensor in spec.problem.tensors
        ):
            return name
    return None


def _described(tool: str, given: str | None = None) -> tuple[Path | None, str]:
    """Return path and one line about a binary, for people; never raises for a missing tool."""
    try:
        path = find(tool, given)
        if tool != "timeloop-model":
            return path, str(path)
        known = version(path)
    except DseError as error:
        return None, str(error)
    return path, f"{path} (computes as {known or 'no version that dse knows'})"


#: A convolution with a halo (its reload differs between 4cf6d4c and 3.0.3) and with partial sums
#: that come back (their fills differ between 3.0.3 and what came before it).
PROBE = """\
architecture:
  version: 0.4
  subtree:
  - name: system
    local:
    - {name: DRAM, class: DRAM, attributes: {word-bits: 8}}
    - {name: Buffer, class: SRAM, attributes: {entries: 64, word-bits: 8}}
    - {name: MACC, class: intmac, attributes: {word-bits: 8}}
problem: {shape: cnn-layer, R: 3, S: 1, P: 4, Q: 1, C: 2, K: 2, N: 1}
mapping:
- {target: DRAM, type: temporal, factors: P=4 C=2 K=2, permutation: KPC}
- {target: Buffer, type: temporal, factors: R=3, permutation: R}
"""
