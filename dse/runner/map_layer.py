"""The best mapping of one layer on fixed hardware: what ``python -m dse map`` calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.padding import (
    NO_PADDING,
    Padding,
    mapped_problem,
    padded_sizes,
    padding_text,
)
from dse.domain.problem import Layer, Problem, Workload
from dse.domain.uneven import divided, levels_asked
from dse.errors import NothingFeasible, SpecError
from dse.goals.certificate import Certificate
from dse.goals.mapspace_text import mapspace_text
from dse.goals.metric_names import operations
from dse.goals.rates import Throughput
from dse.mappers.base import Mapped
from dse.runner.config import ResolvedConfig, RunConfig, resolve
from dse.runner.files import read_inputs
from dse.runner.setup import Setup, set_up
from dse.space.network_space import NetworkSpace
from dse.space.template import ArchTemplate
from dse.space.variable import Values
from dse.study import folder as run_folder
from dse.timeloop.evaluate import Evaluation, evaluated, said_to_timeloop
from dse.timeloop.read.inputs import TimeloopInput
from dse.timeloop.write.inputs import write_design
from dse.timeloop.write.report import map_text, stats_json
from dse.timeloop.write.stats import stats_text

SCHEMA = "dse.map/1"
_DEFAULT_SAMPLES = 1000
#: The evaluator that knows of levels that are parts of one buffer.
_KNOWS_PARTS = "native"


@dataclass(frozen=True)
class Unpadded:
    """What a mapper finds for a layer without padding, with all of the samples.

    Attributes:
        value: of the objective; None: no mapping.
        certificate: what it proved.
    """

    value: float | None
    certificate: Certificate | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        proof = {"certificate": self.certificate.as_dict()} if self.certificate else {}
        return {"value": self.value, **proof}


@dataclass(frozen=True)
class MappedLayer:
    """The best mapping found.

    Attributes:
        evaluation: architecture, problem, mapping, and what the native model says of them.
        layer: the layer.
        values: the hardware's values of the template's variables.
        value, unit: what was minimised, and how far.
        settings: everything that the search was set to.
        folder: with result.json, the reports, and the input files in ``best/``.
        certificate: what the mapper proved; None where it proves nothing.
        unpadded: what the mapper finds without padding, where the mapping is of a padded layer;
            None where it is not.
        measured: cycles and pJ by an evaluator whose numbers are not Timeloop's; None: they are.
        as_timeloop: of an uneven mapping, the evaluation that Timeloop's files can say, or why they
            cannot; None: the mapping is even.
    """

    evaluation: Evaluation
    layer: Layer
    values: Values
    value: float
    unit: str
    settings: dict[str, Any]
    folder: Path
    certificate: Certificate | None = None
    unpadded: Unpadded | None = None
    measured: tuple[float, float] | None = None
    as_timeloop: Evaluation | str | None = None

    @property
    def rates(self) -> Throughput | None:
        """Time and power of one run of the layer; None where the template has no clock."""
        technology, stats = self.evaluation.input.architecture.technology, self.evaluation.stats
        if technology is None:
            return None
        cycles, energy_pj = self.measured or (float(stats.cycles), stats.energy_pj)
        work = operations(self.layer.problem)
        return Throughput.of(cycles, energy_pj, work, technology.clock_ns)

    @property
    def mapspace(self) -> str:
        """In words, which mappings were searched."""
        asked = self.settings["mapspace"]
        divided = self.evaluation.input.architecture.divided
        return mapspace_text(free=asked["free"], padding=asked["padding"], divided=divided)

    @property
    def unwritten(self) -> str | None:
        """Why Timeloop's files cannot say the mapping; None: they are written."""
        return self.as_timeloop if isinstance(self.as_timeloop, str) else None

    @property
    def padding(self) -> str:
        """What was padded, as in ``K 37 -> 39``; empty: nothing."""
        return padding_text(self.layer.problem, self.evaluation.input.problem)

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain data, the content of ``result.json``."""
        told = ("arch", "seed", "energy", "timeloop_version", "samples", "mapper", "evaluator")
        return {
            "schema": SCHEMA,
            **{key: self.settings[key] for key in told},
            "layer": self.layer.name,
            "values": self.values,
            "objective": {
                "name": self.settings["objective"],
                "value": self.value,
                "unit": self.unit,
            },
            "mapspace": self.mapspace,
            **({"certificate": self.certificate.as_dict()} if self.certificate else {}),
            **({"padding": self._padding_dict(self.unpadded)} if self.unpadded else {}),
            **self._measured_dict(),
            **({"unwritten": self.unwritten} if self.unwritten else {}),
            **({"rates": self.rates.as_dict()} if self.rates else {}),
            "stats": stats_json(self.evaluation),
        }

    def _measured_dict(self) -> dict[str, Any]:
        if self.measured is None:
            return {}
        return {"measured": dict(zip(("cycles", "energy_pj"), self.measured, strict=True))}

    def _padding_dict(self, without: Unpadded) -> dict[str, Any]:
        sizes = padded_sizes(self.layer.problem, self.evaluation.input.problem)
        return {
            "setting": self.settings["mapspace"]["padding"],
            "sizes": {d: after for d, (_, after) in sizes.items()},
            "unpadded": without.as_dict(),
        }


def map_layer(given: Mapping[str, Any], layer: str) -> MappedLayer:
    """Search the best mapping of a layer.

    Args:
        given: settings as of a run; the optimizer's are not used. Variables that are not set take
            the template's own values.
        layer: ``WORKLOAD/LAYER``; the workload is a name or the path of a YAML file.

    Raises:
        SpecError: a setting or a file is wrong, or the hardware is not fully given.
        NothingFeasible: no valid mapping was found.
    """
    name, _, chosen_name = layer.rpartition("/")
    if not name or not chosen_name:
        raise SpecError(f"layer={layer}: expected WORKLOAD/LAYER, as in layer=vgg16/conv1_1")
    # there is no search of hardware: what it would be matters to padding alone
    config = resolve({**given, "workload": name, "optimizer": "random"})
    inputs = read_inputs(config, name)
    config, template, network = inputs.config, inputs.template, inputs.workload
    if isinstance(network, NetworkSpace):
        network = network.default
    if config.run.constraints:
        raise SpecError("constraints: they are for designs; a mapping has none")
    chosen = network.layer(chosen_name)
    values = _values(template, config)
    config = replace(config, run=replace(config.run, variables=dict(values)))
    uneven = config.run.mapspace.uneven
    config = replace(config, run=_with_uneven(config.run, False))
    setup = set_up(config, template, Workload(network.name, (chosen,)), _DEFAULT_SAMPLES)
    with closing(setup):
        hardware = _hardware(setup, uneven, values, chosen.problem)
        which, found = _map(setup, hardware, chosen.problem, setup.space.padding)
        architecture = hardware.architectures[which]
        mapping = found.mappings[0]
        if mapping is None:
            why = setup.mapper.why_unmapped(chosen.problem, architecture)
            raise NothingFeasible(f"layer '{chosen.name}': {why}")
        problem = mapped_problem(chosen.problem, mapping)
        unpadded = None
        if problem != chosen.problem:
            which, plain = _map(setup, hardware, chosen.problem, NO_PADDING)
            reached = _value(setup, plain, chosen.problem, hardware.architectures[which])
            unpadded = Unpadded(
                reached if np.isfinite(reached) else None,
                plain.certificates[0] if plain.certificates else None,
            )
    version = config.run.timeloop_version
    evaluation = evaluated(TimeloopInput(architecture, problem, mapping, version), mapping)
    asked = replace(setup.config, run=_with_uneven(setup.config.run, uneven))
    result = MappedLayer(
        evaluation,
        chosen,
        values,
        _value(setup, found, chosen.problem, architecture),
        setup.space.objective.unit,
        asked.as_dict(),
        setup.new_folder(f"map_{config.plugins['mapper'].name}_{chosen.name}"),
        found.certificates[0] if found.certificates else None,
        unpadded,
        None
        if setup.evaluator.equals_timeloop
        else (float(found.metrics.cycles[0]), float(found.metrics.energy_pj[0])),
        said_to_timeloop(evaluation),
    )
    _write(result)
    return result


def _with_uneven(run: RunConfig, uneven: object) -> RunConfig:
    return replace(run, mapspace=replace(run.mapspace, uneven=uneven))


def _hardware(setup: Setup, uneven: object, values: Values, problem: Problem) -> HardwareBatch:
    """Return the architecture; for uneven mappings with levels in parts, by orders of tensors.

    Raises:
        SpecError: a level cannot be in parts, or the evaluator does not know of them.
    """
    architecture = setup.space.architecture(values)
    names = levels_asked(uneven)
    if names == ():
        return HardwareBatch.of(architecture)
    evaluator = setup.config.plugins["evaluator"].name
    if evaluator != _KNOWS_PARTS:
        raise SpecError(
            f"mapspace.uneven = {uneven}: evaluator={evaluator} does not know of levels that share "
            f"one buffer, expected evaluator={_KNOWS_PARTS}"
        )
    own = architecture.constraints
    rules = setup.space.template.constraints if own is None else own
    return divided(architecture, problem, rules, names)


def _map(
    setup: Setup, hardware: HardwareBatch, problem: Problem, padding: Padding
) -> tuple[int, Mapped]:
    """Map a problem with all of the samples; return on which hardware, and what was found."""
    seed = setup.config.run.seed
    return setup.mapper.map_best(hardware, problem, setup.samples, seed, padding)


def _value(setup: Setup, found: Mapped, problem: Problem, architecture: Architecture) -> float:
    """Return what the objective is worth of what was found."""
    return float(setup.mapper.rank(found.metrics, problem, architecture)[0])


def _values(template: ArchTemplate, config: ResolvedConfig) -> Values:
    """Return the values of all variables: those set, else the template's own."""
    own = {v.name: v.default for v in template.variables if v.default is not None}
    values = template.check({**own, **config.run.variables})
    missing = [v.name for v in template.variables if v.name not in values]
    if missing:
        raise SpecError(
            f"template '{template.name}': its file gives no values for {', '.join(missing)}; "
            f"set them, as in variables.{missing[0]}=VALUE"
        )
    return values


def _write(result: MappedLayer) -> None:
    told = result.evaluation if result.as_timeloop is None else result.as_timeloop
    texts = {
        "timeloop-model.map.txt": map_text(result.evaluation),
        run_folder.RESULT: json.dumps(result.as_dict(), indent=2, allow_nan=False) + "\n",
    }
    if not isinstance(told, str):
        architecture, layers = told.input.architecture, [(result.layer, told.mapping)]
        write_design(result.folder / run_folder.BEST, architecture, layers)
        if architecture.sparse is None:  # of which no file of Timeloop's is known
            texts["timeloop-model.stats.txt"] = stats_text(told)
    for name, text in texts.items():
        (result.folder / name).write_text(text, encoding="utf-8")
