"""``--energy`` and ``--strict`` of the commands that read Timeloop's files."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dse.errors import SpecError, unknown_name

if TYPE_CHECKING:
    from dse.components.reference_tables import ReferenceTables
    from dse.domain.formula import Value
    from dse.timeloop.yaml.nodes import Entry

CHOICES = ("pat", "table")


def add_energy(parser: argparse.ArgumentParser) -> None:
    """Add ``--energy`` and ``--strict``."""
    parser.add_argument(
        "--energy",
        metavar="NAME",
        help="prices where the files have no ERT: pat (default), those built into "
        "Timeloop; or table, of each component as Accelergy would take it apart "
        "(table:45nm,1ns: node and clock of those that have none)",
    )
    parser.add_argument("--strict", action="store_true", help="warnings about the files are errors")


class EnergyChoice:
    """What ``--energy`` says: prices inputs without an ERT, and says so on stderr.

    ``tables`` are the last ones made; ``quiet`` says nothing.

    Raises:
        SpecError: the name is unknown.
    """

    def __init__(self, name: str | None, *, quiet: bool = False) -> None:
        kind, _, rest = (name or "").partition(":")
        if name is not None and kind not in CHOICES:
            raise SpecError(unknown_name("--energy", kind, CHOICES))
        self._name = name and kind
        self._quiet = quiet
        self._defaults = _node_and_clock(rest, kind) if rest else {}
        self.tables: ReferenceTables | None = None

    def __call__(self, root: Entry) -> ReferenceTables | None:
        """Return the prices of an input's components; None: those built into Timeloop."""
        from dse.components.native_accelergy import compound_kinds, prices  # noqa: PLC0415

        ert = root.get("ERT")
        if ert is not None:
            if self._name is not None:
                raise ert.refuse(f"the files give energies; expected no --energy {self._name}")
            return None
        if self._name == "table":
            self.tables = prices(root, self._defaults)
            self._say(f"table, {self.tables.summary()}")
            return self.tables
        kinds = compound_kinds(root) if self._name is None else []
        without = f"; not of {', '.join(kinds)}: --energy table prices compounds" if kinds else ""
        self._say(f"pat, built into Timeloop, as the files have no ERT{without}")
        return None

    def _say(self, what: str) -> None:
        if not self._quiet:
            sys.stderr.write(f"energy: {what}\n")


def _node_and_clock(text: str, kind: str) -> dict[str, Value]:
    """Return what stands behind the colon of ``table:45nm,1ns``; the clock may be left out."""
    node, _, clock = text.partition(",")
    if kind != "table" or not node.endswith("nm") or (clock and not clock.endswith("ns")):
        raise SpecError(
            f"--energy {kind}:{text}: expected table:NODE or table:NODE,CLOCK, as in table:45nm,1ns"
        )
    found: dict[str, Value] = {"technology": node}
    return found | ({"global_cycle_seconds": clock} if clock else {})


@contextmanager
def strictly(strict: bool) -> Iterator[None]:
    """Raise SpecError at the end if there were warnings meanwhile and they count as errors.

    Raises:
        SpecError: the first warning.
    """
    if not strict:
        yield
        return
    logger, kept = logging.getLogger("dse"), _Kept()
    propagates = logger.propagate
    logger.addHandler(kept)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(kept)
        logger.propagate = propagates
    if kept.messages:
        more = f" (and {len(kept.messages) - 1} more)" if len(kept.messages) > 1 else ""
        raise SpecError(f"{kept.messages[0]}{more}")


class _Kept(logging.Handler):
    """Keeps warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.messages.append(record.getMessage())
