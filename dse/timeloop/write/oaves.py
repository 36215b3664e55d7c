"""Writes ``oaves.csv``, in which 3.0.3 sets operations a byte beside the size of the buffer."""

from __future__ import annotations

from dse.timeloop.evaluate import Evaluation
from dse.timeloop.write.figures import ReportFigures, nest


def oaves_csv(evaluation: Evaluation) -> str:
    """Return the line of one mapping.

    Its columns: bytes that are used of all innermost buffers, operations a byte at the outermost
    level, accesses of that level; by tensor, the bytes, then the accesses; the loop nest; a file
    of the mapping, or None.
    """
    figures = ReportFigures(evaluation)
    levels = evaluation.input.architecture.levels
    inner, outer = (
        evaluation.stats.levels[x.name].tensors.values() for x in (levels[0], levels[-1])
    )
    sizes = [
        int(x.utilized_capacity * x.utilized_instances * levels[0].word_bits / 8) for x in inner
    ]
    accesses = [int(x.utilized_instances * (x.reads + x.fills + x.updates)) for x in outer]
    intensity = f"{figures.operations_per_byte(len(levels) - 1):g}"
    row = [sum(sizes), intensity, sum(accesses), *sizes, *accesses, compact(evaluation), None]
    return ",".join(map(str, row)) + "\n"


def compact(evaluation: Evaluation) -> str:
    """Return the loop nest in a line, as Timeloop's logs show it: ``L1[WIO] P4 - L0[WO] R3``."""
    mapping, problem = evaluation.mapping, evaluation.input.problem
    levels = []
    for s in reversed(range(len(mapping.keep))):
        kept = "".join(
            t[0] for t, keep in zip(problem.tensors, mapping.keep[s], strict=True) if keep
        )
        words = [f"L{s}[{kept}]"]
        for loop in reversed(nest(mapping, s)):
            rest = "" if loop.end == loop.remainder else f";{loop.remainder}"
            words.append(f"{problem.dimensions[loop.dimension]}{loop.end}{rest}{loop.axis}")
        levels.append(" ".join(words) + " ")
    return "- ".join(levels)
