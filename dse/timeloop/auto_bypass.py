"""timeloop-model's ``auto_bypass_on_failure``: levels whose tiles do not fit keep nothing.

Only the capacity is looked at, and all data spaces of the level go, as Timeloop has it.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)


def is_asked(root: Entry) -> bool:
    """Whether the ``model`` block of an input asks for it."""
    block = root.get("model")
    asked = block.get("auto_bypass_on_failure") if block is not None and block.is_map else None
    return asked is not None and asked.boolean()


def bypassed(architecture: Architecture, problem: Problem, mapping: Mapping) -> Mapping:
    """Return the mapping with all data spaces bypassed at levels whose tiles do not fit."""
    from dse.model import rules  # noqa: PLC0415 - compiled code

    keep = mapping.keep.copy()
    extents = np.ones(len(problem.dimensions), np.int64)
    for s, level in enumerate(architecture.levels):
        extents = extents * mapping.temporal[s] * mapping.spatial[s]
        if level.size_words is None:
            continue
        sides = 1 + (np.abs(problem.projection) * (extents - 1)).sum(axis=2)
        words = int(sides.prod(axis=1)[keep[s]].sum())
        usable = rules.usable_words(level.size_words, level.multiple_buffering)
        if words > usable or words < rules.least_words(usable, level.min_utilization):
            _LOG.warning(
                "level '%s': its tiles have %d words, of %d: all data spaces bypass it, as "
                "auto_bypass_on_failure asks",
                *(level.name, words, usable),
            )
            keep[s] = False
    return replace(mapping, keep=keep)
