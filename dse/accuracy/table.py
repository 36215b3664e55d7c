"""Accuracies of networks from a table: measured ones, say."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

from dse.disk import read_file
from dse.errors import SpecError, unknown_name
from dse.space.accuracy import AccuracyPredictor
from dse.space.network_space import NetworkSpace
from dse.space.network_spec import PREFIX

_MOST_BYTES = 256 * 1024 * 1024


class TableAccuracy(AccuracyPredictor):
    """Accuracies from a CSV file: a column for each variable that matters, and ``accuracy``.

    A column has the name of a variable of the space, or is called ``accuracy``, a share of images
    from 0 to 1. Variables without a column do not matter. Networks without a line have no accuracy.
    """

    def __init__(self, networks: NetworkSpace, argument: str) -> None:
        super().__init__(networks, argument)
        path = self.files(argument)[0]
        try:
            text = read_file(path, _MOST_BYTES).decode()
        except UnicodeDecodeError as error:
            raise SpecError(f"{path}: not a text") from error
        rows = csv.reader(io.StringIO(text))
        head = [cell.strip() for cell in next(rows, [])]
        self._names = _columns(networks, head, path)
        self._rows: dict[tuple[float, ...], float] = {}
        for cells in rows:
            if cells:
                self._add(head, cells, f"{path}, line {rows.line_num}")

    @classmethod
    def files(cls, argument: str) -> list[Path]:
        """See :meth:`dse.space.accuracy.AccuracyPredictor.files`."""
        if not argument:
            raise SpecError("accuracy = table: expected table:FILE, a CSV file")
        return [Path(argument).expanduser()]

    def predict(self, values: Mapping[str, int]) -> float:
        """See :meth:`dse.space.accuracy.AccuracyPredictor.predict`."""
        numbers = self.networks.numbers(values)
        return self._rows.get(tuple(numbers[name] for name in self._names), math.nan)

    def why_none(self, values: Mapping[str, int]) -> str:
        """See :meth:`dse.space.accuracy.AccuracyPredictor.why_none`."""
        numbers = self.networks.numbers(values)
        told = ", ".join(f"{name}={numbers[name]:g}" for name in self._names)
        return f"{self.argument} has no line with {told}"

    def _add(self, head: list[str], cells: list[str], place: str) -> None:
        if len(cells) != len(head):
            raise SpecError(f"{place}: has {len(cells)} cells, expected {len(head)}")
        found = {}
        for name, cell in zip(head, cells, strict=True):
            try:
                found[name] = float(cell)
            except ValueError as error:
                raise SpecError(f"{place}: {name} = {cell!r}, expected a number") from error
        accuracy = found.pop("accuracy")
        if not 0 <= accuracy <= 1:
            raise SpecError(f"{place}: accuracy = {accuracy:g}, expected a share from 0 to 1")
        values = self.networks.of_numbers(found)  # as they count: what changes nothing is default
        numbers = self.networks.numbers(values)
        key = tuple(numbers[name] for name in self._names)
        if self._rows.setdefault(key, accuracy) != accuracy:
            raise SpecError(f"{place}: this network has another accuracy in an earlier line")


def _columns(networks: NetworkSpace, head: list[str], path: Path) -> list[str]:
    """Return the variables that a table has columns for."""
    known = [v.name.removeprefix(PREFIX) for v in networks.variables]
    for name in head:
        if name not in (*known, "accuracy"):
            raise SpecError(f"{path}: {unknown_name('column', name, [*known, 'accuracy'])}")
        if head.count(name) > 1:
            raise SpecError(f"{path}: column '{name}' stands twice")
    if "accuracy" not in head or len(head) < 2:
        raise SpecError(f"{path}: expected a column 'accuracy' and one for each variable")
    return [name for name in head if name != "accuracy"]
