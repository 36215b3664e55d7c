"""The errors that ``dse`` raises on purpose, each with the exit code of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DseError(Exception):
    """Base of all errors with a message that is meant for the user."""

    exit_code = 1


class SpecError(DseError):
    """Bad input: the message names file, key path, value and what was expected."""

    exit_code = 2


class ProofError(DseError):
    """A proof contradicts itself, or another one: a fault of this program, or a forged file."""


class InvalidMapping(DseError):
    """The mapping does not fit the architecture; the message is Timeloop's own line."""

    exit_code = 3


class NothingFeasible(DseError):
    """A search ended without one valid design."""

    exit_code = 3


class ToolError(DseError):
    """An external tool is missing or failed; never a score."""

    exit_code = 4


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name: the nearest match, then all choices.

    Of dotted names, such as settings, only those of the same group are listed, if there are any.
    """
    choices = sorted(set(known))
    near = difflib.get_close_matches(str(name), choices, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    group = str(name).rpartition(".")[0]
    choices = [c for c in choices if group and c.startswith(f"{group}.")] or choices
    listed = f"choices: {', '.join(choices)}" if choices else "there are none"
    return f"unknown {kind} '{name}'{hint} ({listed})"
