"""The result of a run: the best design with its metrics, and the same as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dse.domain.architecture import Architecture
from dse.domain.padding import padded_layers
from dse.domain.problem import Workload
from dse.goals.design import Design, DesignMetrics, LayerMetrics
from dse.goals.metric_names import operations
from dse.goals.objective import Objective
from dse.goals.pareto import FrontMember
from dse.goals.rates import Throughput
from dse.space.network_spec import PREFIX
from dse.space.search_space import SearchSpace
from dse.space.variable import Variable

SCHEMA = "dse.result"
VERSION = 1
#: Folder of the Pareto front's files in a run folder.
FRONT = "front"


@dataclass(frozen=True)
class AccuracySource:
    """What said how accurate networks are.

    Attributes:
        predictor: as the setting names it.
        unit: of its numbers.
        stands_in: whether they are no accuracies, but only grow where those should.
        digest: of the files that it reads; empty where there are none.
    """

    predictor: str
    unit: str
    stands_in: bool
    digest: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class RunResult:
    """The best design of a run.

    Attributes:
        design: values of the variables, and one mapping per layer of ``workload``.
        metrics: what it is worth: cycles, energy_pj, area_um2, utilization, edp, per layer too.
        architecture: its hardware, priced.
        space: what was searched.
        labels: the values of the variables as people write them.
        variables: the template's variables.
        objective, value, unit: what was minimised, and how far.
        settings: everything that the run was set to.
        samples, designs, feasible: samples spent; hardware points seen; those that worked.
        folder: the run folder.
        front_objectives: what the optimizer traded; empty where it had one objective.
        front_members: the designs of the run that no other beats in all of these.
        own_design: the template's own design, mapped with the effort of the best one, and what
            it is worth; None where there is none to compare with.
        certificate: what the optimizer proved of the result; None: nothing.
        unpadded: what the design is worth where no layer is padded, mapped with the effort of the
            best one; None where none is.
        model_samples: what a model of the optimizer's own was asked, beside the samples.
        note: how the optimizer has searched, where its settings leave that open.
        accuracy: what said how accurate networks are, where they were searched, too; ``space`` and
            ``workload`` are those of the best one then.
        default_network: the space's own network on the hardware of the best design, mapped with
            its effort, and what that is worth; None where there is none to compare with.
    """

    design: Design
    metrics: DesignMetrics
    architecture: Architecture
    space: SearchSpace
    workload: Workload
    labels: dict[str, str]
    variables: tuple[Variable, ...]
    objective: str
    value: float
    unit: str
    settings: dict[str, Any]
    samples: int
    designs: int
    feasible: int
    folder: Path
    front_objectives: tuple[Objective, ...] = ()
    front_members: tuple[FrontMember, ...] = ()
    own_design: tuple[Design, DesignMetrics] | None = None
    certificate: dict[str, Any] | None = None
    unpadded: DesignMetrics | None = None
    model_samples: int = 0
    note: str = ""
    accuracy: AccuracySource | None = None
    default_network: tuple[Design, DesignMetrics] | None = None

    @property
    def padded(self) -> dict[str, dict[str, int]]:
        """The layers that are padded, with the sizes that their dimensions are padded to."""
        return padded_layers(self.workload, self.design.mappings or ())

    @property
    def rates(self) -> Throughput | None:
        """Time and power of the best design; None where the template has no clock."""
        return self.metrics.rates

    @property
    def at_edge(self) -> dict[str, str]:
        """Which variables of the best design stand at an end of their range, and at which.

        The range may bound what can be found, so only what the search was free to choose counts,
        and only numbers: choices have no order.
        """
        fixed = self.settings.get("variables") or {}
        found = {}
        for v in self.variables:
            value = self.design.values[v.name]
            if v.name in fixed or v.choices or v.minimum == v.maximum or v.name.startswith(PREFIX):
                continue
            if value in (v.minimum, v.maximum):
                found[v.name] = "minimum" if value == v.minimum else "maximum"
        return found

    def labels_of(self, design: Design) -> dict[str, str]:
        """Return a design's values of the variables as people write them."""
        return {v.name: v.label(design.values[v.name]) for v in self.variables}

    def front_folder(self, number: int) -> Path:
        """Return the folder with the files of a member of the front."""
        return self.folder / FRONT / f"{number:03}"

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain data, the content of ``result.json``."""
        m = self.metrics
        front = {"front": self._front_dict()} if self.front_objectives else {}
        proof = {"certificate": self.certificate} if self.certificate else {}
        modelled = {"model_samples": self.model_samples} if self.model_samples else {}
        technology = self.architecture.technology
        return {
            **header(self.settings, "ok", self.samples, self.designs, self.feasible),
            **modelled,
            **({"note": self.note} if self.note else {}),
            **({"accuracy": self.accuracy.as_dict()} if self.accuracy else {}),
            "objective": {"name": self.objective, "value": self.value, "unit": self.unit},
            "best": {
                "values": self.design.values,
                "labels": self.labels,
                "at_edge": self.at_edge,
                "cycles": m.cycles,
                "energy_pj": m.energy_pj,
                "edp_pj_cycles": m.edp,
                "area_um2": m.area_um2,
                "utilization": m.utilization,
                **_accuracy(m),
                **_rates(m),
                **({"node_nm": technology.node_nm} if technology else {}),
                "layers": [
                    {
                        "name": layer.name,
                        "count": layer.count,
                        "cycles": layer.cycles,
                        "energy_pj": layer.energy_pj,
                        "edp_pj_cycles": layer.edp,
                        "utilization": layer.utilization,
                        **self._layer_rates(layer),
                    }
                    for layer in m.layers
                ],
            },
            **self._padding_dict(),
            **self._networks_dict(),
            **front,
            **self._own_dict(),
            **proof,
        }

    def rates_of(self, layer: LayerMetrics) -> Throughput | None:
        """Time and power of one run of a layer; None where the clock is not known."""
        clock_ns = self.metrics.clock_ns
        if clock_ns is None:
            return None
        problem = next(x.problem for x in self.workload if x.name == layer.name)
        return Throughput.of(layer.cycles, layer.energy_pj, operations(problem), clock_ns)

    def _layer_rates(self, layer: LayerMetrics) -> dict[str, Any]:
        rates = self.rates_of(layer)
        if rates is None:
            return {}
        told = ("seconds", "power_w", "tops", "tops_per_w")
        return {key: value for key, value in rates.as_dict().items() if key in told}

    def _own_dict(self) -> dict[str, Any]:
        """Return what was mapped to compare with: the template's own design, the own network."""
        others = {"own_design": self.own_design, "default_network": self.default_network}
        return {name: self._beside(*one) for name, one in others.items() if one is not None}

    def _beside(self, design: Design, m: DesignMetrics) -> dict[str, Any]:
        told: dict[str, Any] = {
            "values": design.values,
            "labels": self.labels_of(design),
            "mapping_samples": design.mapping_samples,
            "valid": m.valid,
        }
        if not m.valid:
            return told | {"reason": m.reason}
        return told | {
            "cycles": m.cycles,
            "energy_pj": m.energy_pj,
            "edp_pj_cycles": m.edp,
            "area_um2": m.area_um2,
            "utilization": m.utilization,
            **_accuracy(m),
            **_rates(m),
        }

    def _padding_dict(self) -> dict[str, Any]:
        """Return what is padded, and what the same hardware is worth without."""
        m = self.unpadded
        if m is None:
            return {}
        told: dict[str, Any] = {"valid": m.valid}
        if m.valid:
            told |= {
                "cycles": m.cycles,
                "energy_pj": m.energy_pj,
                "edp_pj_cycles": m.edp,
                **_rates(m),
            }
        else:
            told["reason"] = m.reason
        return {"padding": {"layers": self.padded, "unpadded": told}}

    def _networks_dict(self) -> dict[str, Any]:
        """Return what the best design is worth on each of several networks."""
        if not self.metrics.networks:
            return {}
        pairs = zip(self.workload.networks, self.metrics.networks, strict=True)
        return {
            "networks": [
                {
                    "name": network.name,
                    "cycles": m.cycles,
                    "energy_pj": m.energy_pj,
                    "edp_pj_cycles": m.edp,
                    "utilization": m.utilization,
                    **_rates(m),
                }
                for network, m in pairs
            ]
        }

    def _front_dict(self) -> dict[str, Any]:
        return {
            "objectives": [{"name": g.name, "unit": g.unit} for g in self.front_objectives],
            "members": [
                {
                    "values": member.design.values,
                    "labels": self.labels_of(member.design),
                    "objectives": list(member.value),
                    "cycles": member.metrics.cycles,
                    "energy_pj": member.metrics.energy_pj,
                    "area_um2": member.metrics.area_um2,
                    "utilization": member.metrics.utilization,
                    **_accuracy(member.metrics),
                    **_rates(member.metrics),
                    "files": str(self.front_folder(number).relative_to(self.folder)),
                }
                for number, member in enumerate(self.front_members)
            ],
        }


def _rates(m: DesignMetrics) -> dict[str, Any]:
    """Return time and power of a design, where there is a clock."""
    return m.rates.as_dict() if m.rates else {}


def _accuracy(m: DesignMetrics) -> dict[str, Any]:
    """Return how accurate the network of a design is, where networks are searched."""
    return {} if m.accuracy is None else {"accuracy": m.accuracy}


def header(
    settings: dict[str, Any], status: str, samples: int, designs: int, feasible: int
) -> dict[str, Any]:
    """Return the part of ``result.json`` that a run without a valid design has too."""
    told = ("arch", "workload", "variables", "seed", "energy", "timeloop_version")
    padding = settings["mapspace"]["padding"] or "off"
    free = bool(settings["mapspace"].get("free"))
    searched = {
        **({"padding": padding} if padding != "off" else {}),
        **({"free": free} if free else {}),
    }
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "status": status,
        **{key: settings[key] for key in told},
        **({"network": settings["network"]} if settings["network"] else {}),
        **({"mapspace": searched} if searched else {}),
        "optimizer": settings["optimizer"],
        "mapper": settings["mapper"],
        "evaluator": settings["evaluator"],
        "samples": samples,
        "designs": designs,
        "feasible_designs": feasible,
    }
