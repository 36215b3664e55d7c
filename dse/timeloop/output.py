"""What a model or mapper call finds, under timeloopfe's names and in its units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dse.errors import SpecError, unknown_name
from dse.goals.certificate import Certificate
from dse.timeloop.evaluate import Evaluation


class PerComponent(dict[str, float]):
    """A number of each component, which scales as a whole."""

    def __mul__(self, factor: float) -> PerComponent:
        return PerComponent({name: value * factor for name, value in self.items()})

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> PerComponent:
        return PerComponent({name: value / divisor for name, value in self.items()})


@dataclass
class OutputStats:
    """The result of a call, or of several together.

    Attributes:
        percent_utilization: 0 to 100.
        computes, cycles: counts.
        cycle_seconds: the files' ``GLOBAL_CYCLE_SECONDS``; 1 ns where they name none.
        per_component_energy: J.
        per_component_area: m^2, all instances; 0 where no ART gives it.
        variables: the specification's.
        accesses: scalar ``reads``, ``fills``, ``updates`` by storage level, all tensors and
            instances.
        mapping: the loop nest, as ``map.txt`` shows it; None of several calls.
        evaluation: the whole result; None of several calls.
        certificate: what the mapper proved; None of a model call.
    """

    percent_utilization: float
    computes: float
    cycles: int
    cycle_seconds: float
    per_component_energy: PerComponent
    per_component_area: PerComponent
    variables: dict[str, Any] = field(default_factory=dict)
    accesses: dict[str, dict[str, float]] = field(default_factory=dict)
    mapping: str | None = None
    evaluation: Evaluation | None = field(default=None, repr=False)
    certificate: Certificate | None = None

    @property
    def energy(self) -> float:
        """Energy in J."""
        return sum(self.per_component_energy.values())

    @property
    def area(self) -> float:
        """Area in m^2."""
        return sum(self.per_component_area.values())

    @property
    def latency(self) -> float:
        """Seconds."""
        return self.cycles * self.cycle_seconds

    @property
    def computes_per_second(self) -> float:
        """Computes a second."""
        return self.computes / self.latency

    @property
    def computes_per_joule(self) -> float:
        """Computes a joule; infinite where the energy is 0."""
        return self.computes / self.energy if self.energy else float("inf")

    @property
    def computes_per_second_per_square_meter(self) -> float:
        """Computes a second and square metre; infinite where no area is known."""
        return self.computes_per_second / self.area if self.area else float("inf")

    def per_compute(self, key: str) -> Any:  # noqa: ANN401 - a number, or one of each component
        """Return an attribute divided by the number of computes."""
        return getattr(self, key) / self.computes

    def access(self, key: str) -> Any:  # noqa: ANN401 - whatever it is called
        """Return an attribute, or a variable of the specification.

        Raises:
            AttributeError: there is neither.
        """
        if hasattr(self, key):
            return getattr(self, key)
        if key in self.variables:
            return self.variables[key]
        raise AttributeError(unknown_name("attribute or variable", key, self.variables))

    def scale_computes_by(self, factor: float) -> None:
        """Count each compute as so many."""
        self.computes *= factor

    def combine_per_component_energy(self, from_keys: Sequence[str], to: str) -> None:
        """Put the energy of several components under one name."""
        _combine(self.per_component_energy, from_keys, to)

    def combine_per_component_area(self, from_keys: Sequence[str], to: str) -> None:
        """Put the area of several components under one name."""
        _combine(self.per_component_area, from_keys, to)

    def combine_per_component_area_energy(self, from_keys: Sequence[str], to: str) -> None:
        """Put area and energy of several components under one name."""
        self.combine_per_component_area(from_keys, to)
        self.combine_per_component_energy(from_keys, to)

    def clear_zero_energies(self) -> None:
        """Drop components without energy."""
        _clear(self.per_component_energy)

    def clear_zero_areas(self) -> None:
        """Drop components without area."""
        _clear(self.per_component_area)

    @staticmethod
    def aggregate(tests: Sequence[OutputStats]) -> OutputStats:
        """Return several results as one: layers that run after each other on one chip.

        Counts and energies add up; clock, areas and variables are the last one's, and the
        utilisation is weighed by computes.

        Raises:
            SpecError: there are none.
        """
        if not tests:
            raise SpecError("aggregate: no results, expected at least one")
        last, computes = tests[-1], sum(test.computes for test in tests)
        energies: dict[str, float] = {}
        for test in tests:
            for name, energy in test.per_component_energy.items():
                energies[name] = energies.get(name, 0.0) + energy
        return OutputStats(
            percent_utilization=sum(t.percent_utilization * t.computes for t in tests) / computes,
            computes=computes,
            cycles=sum(test.cycles for test in tests),
            cycle_seconds=last.cycle_seconds,
            per_component_energy=PerComponent(energies),
            per_component_area=PerComponent(last.per_component_area),
            variables=dict(last.variables),
        )

    @staticmethod
    def aggregate_by(tests: Iterable[OutputStats], *keys: str) -> OutputStatsList:
        """Return the results that agree in attributes or variables as one, each group."""
        return OutputStatsList(map(OutputStats.aggregate, _groups(tests, keys)))


class OutputStatsList(list[OutputStats]):
    """Several results; what a result can do to itself, the list does to each."""

    def aggregate(self) -> OutputStats:
        """See `OutputStats.aggregate`."""
        return OutputStats.aggregate(self)

    def aggregate_by(self, *keys: str) -> OutputStatsList:
        """See `OutputStats.aggregate_by`."""
        return OutputStats.aggregate_by(self, *keys)

    def split_by(self, *keys: str) -> list[OutputStatsList]:
        """Return the results in groups that agree in attributes or variables."""
        return [OutputStatsList(group) for group in _groups(self, keys)]

    def combine_per_component_energy(self, from_keys: Sequence[str], to: str) -> None:
        """See `OutputStats.combine_per_component_energy`."""
        self._each(lambda one: one.combine_per_component_energy(from_keys, to))

    def combine_per_component_area(self, from_keys: Sequence[str], to: str) -> None:
        """See `OutputStats.combine_per_component_area`."""
        self._each(lambda one: one.combine_per_component_area(from_keys, to))

    def combine_per_component_area_energy(self, from_keys: Sequence[str], to: str) -> None:
        """See `OutputStats.combine_per_component_area_energy`."""
        self._each(lambda one: one.combine_per_component_area_energy(from_keys, to))

    def clear_zero_energies(self) -> None:
        """See `OutputStats.clear_zero_energies`."""
        self._each(OutputStats.clear_zero_energies)

    def clear_zero_areas(self) -> None:
        """See `OutputStats.clear_zero_areas`."""
        self._each(OutputStats.clear_zero_areas)

    def _each(self, change: Callable[[OutputStats], None]) -> None:
        for one in self:
            change(one)


def _groups(tests: Iterable[OutputStats], keys: Sequence[str]) -> list[list[OutputStats]]:
    groups: dict[tuple[Any, ...], list[OutputStats]] = {}
    for test in tests:
        groups.setdefault(tuple(test.access(key) for key in keys), []).append(test)
    return list(groups.values())


def _combine(table: PerComponent, names: Sequence[str], to: str) -> None:
    for name in names:
        if name not in table:
            raise KeyError(unknown_name("component", name, table))
    total = sum(table.pop(name) for name in dict.fromkeys(names))
    table[to] = total


def _clear(table: PerComponent) -> None:
    for name in [name for name, value in table.items() if value == 0]:
        del table[name]
