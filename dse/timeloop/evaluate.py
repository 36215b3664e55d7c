"""Evaluates Timeloop input files with the native model, as ``timeloop-model`` would."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dse.domain.mapping import Mapping
from dse.errors import InvalidMapping, SpecError
from dse.model.stats import Stats
from dse.timeloop.read.architecture import Fault
from dse.timeloop.read.inputs import TimeloopInput, check_version, read_entry
from dse.timeloop.read.tables import TablesOf
from dse.timeloop.yaml.io import load_files, load_texts
from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)

#: Most elements below one instance of a level. Transfers between neighbours are found by listing
#: the elements; this bounds memory to about 1 GB. No accelerator comes near.
_MOST_ELEMENTS = 2**24


@dataclass(frozen=True)
class Evaluation:
    """An input with its mapping, and what the model says of it."""

    input: TimeloopInput
    mapping: Mapping
    stats: Stats


def evaluate_files(
    paths: Sequence[str | Path],
    timeloop_version: str = "4cf6d4c",
    values: dict[str, object] | None = None,
    include_path: Sequence[str | Path] = (),
    tables_of: TablesOf | None = None,
) -> Evaluation:
    """Evaluate the mapping in Timeloop's input files.

    ``values`` are the variables of files that are jinja2 templates, ``include_path`` folders
    outside of the project from which they may include others; ``tables_of`` makes the ERT and
    ART, such as :func:`dse.components.native_accelergy.prices`.

    Raises:
        SpecError: the input is not what Timeloop accepts.
        InvalidMapping: the mapping does not fit; the message is Timeloop's own line.
    """
    check_version(timeloop_version)
    root = load_files(paths, values, include_path)
    return _evaluate(*read_entry(root, timeloop_version, for_model=True, tables_of=tables_of))


def evaluate_text(
    text: str | bytes, timeloop_version: str = "4cf6d4c", source: str = "input"
) -> Evaluation:
    """Evaluate the mapping in a Timeloop input given as text. See `evaluate_files`."""
    check_version(timeloop_version)
    return _evaluate(*read_entry(load_texts([(source, text)]), timeloop_version, for_model=True))


def evaluate_entry(
    root: Entry, timeloop_version: str = "4cf6d4c", tables_of: TablesOf | None = None
) -> Evaluation:
    """Evaluate the mapping in a loaded input. See `evaluate_files`."""
    return _evaluate(*read_entry(root, timeloop_version, for_model=True, tables_of=tables_of))


def evaluated(spec: TimeloopInput, mapping: Mapping) -> Evaluation:
    """Return what the model says of a mapping, of dense tensors or of sparse ones.

    Raises:
        InvalidMapping: it does not fit; the message is Timeloop's own line.
        SpecError: the model cannot say.
    """
    from dse.model import evaluate_one  # noqa: PLC0415 - compiled code, not needed to read files
    from dse.sparse.evaluate import evaluate_sparse  # noqa: PLC0415

    parts = (spec.architecture, spec.problem, mapping)
    design = spec.architecture.sparse
    if design is None:
        return Evaluation(spec, mapping, evaluate_one(*parts, spec.timeloop_version))
    own = design.of(spec.problem)
    return Evaluation(spec, mapping, evaluate_sparse(*parts, own, spec.timeloop_version))


def said_to_timeloop(evaluation: Evaluation) -> Evaluation | str | None:
    """Return what Timeloop's files can say of a mapping on levels that are parts of one buffer.

    To Timeloop each part is a buffer of the whole size, with all of the bandwidth.

    Returns:
        The evaluation in which they are; or why it would be another one; None: there are no parts.
    """
    own = evaluation.input.architecture
    if not own.divided:
        return None
    spec = replace(evaluation.input, architecture=own.undivided)
    found = evaluated(spec, evaluation.mapping)
    ours, theirs = evaluation.stats.cycles, found.stats.cycles
    if ours == theirs:
        return found
    return (
        f"Timeloop's files cannot say that the parts of {', '.join(own.divided)} share a "
        f"bandwidth: it would count {theirs:,} cycles in place of {ours:,}"
    )


def _evaluate(spec: TimeloopInput, fault: Fault | None) -> Evaluation:
    if spec.mapping is None:
        raise SpecError(f"{spec.source}: key 'mapping' is missing or empty, expected directives")
    _check_size(spec, spec.mapping)
    try:
        found = evaluated(spec, spec.mapping)
    except InvalidMapping as rejection:
        if fault is not None and not _precedes(rejection, fault, spec):
            raise fault.error from rejection
        raise
    except SpecError as error:
        raise SpecError(f"{spec.source}: {error}") from error
    if fault is not None:
        raise fault.error
    _warn_of_partial_tiles(found)
    return found


def _warn_of_partial_tiles(found: Evaluation) -> None:
    """Say where a tensor that bypasses the outermost level is nowhere as a whole."""
    spec, mapping = found.input, found.mapping
    levels = [level.name for level in spec.architecture.levels]
    for t, tensor in enumerate(spec.problem.tensors):
        holders = np.flatnonzero(mapping.keep[:, t])
        if mapping.keep[-1, t] or not len(holders):
            continue
        holder = int(holders[-1])
        moves = spec.problem.projection[t].any(axis=0)
        if (mapping.temporal[holder + 1 :, moves] > 1).any():
            words = found.stats.levels[levels[holder]].tensors[tensor].utilized_capacity
            _LOG.warning(
                "%s: '%s' bypasses %s, and %s holds tiles of %s words, not all of it: as in "
                "Timeloop, the rest comes from nowhere, at no cost",
                *(spec.source, tensor, levels[-1], levels[holder], f"{words:,}"),
            )


def _check_size(spec: TimeloopInput, mapping: Mapping) -> None:
    for level, factors in zip(spec.architecture.levels, mapping.spatial.tolist(), strict=True):
        elements = math.prod(factors)
        if elements > _MOST_ELEMENTS:
            raise SpecError(
                f"{spec.source}: mapping: level '{level.name}' spreads over {elements} elements, "
                f"expected at most {_MOST_ELEMENTS}"
            )


def _precedes(rejection: InvalidMapping, fault: Fault, spec: TimeloopInput) -> bool:
    """Whether Timeloop, which goes through the levels in order, rejects before it aborts."""
    levels = spec.architecture.levels[: fault.level]
    names = [spec.architecture.compute.name, *(level.name for level in levels)]
    return any(f"couldn't map level {name}:" in str(rejection) for name in names)
