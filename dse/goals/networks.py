"""From the numbers of layers to those of networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from dse.domain.architecture import Architecture
from dse.domain.problem import Workload
from dse.goals.design import DesignMetrics, LayerMetrics
from dse.goals.metric_names import operations


def network_metrics(
    workload: Workload, architecture: Architecture, layers: Sequence[LayerMetrics]
) -> DesignMetrics:
    """Add up the layers of a workload, one entry for each, and those of each of its networks."""
    whole = _total(workload, architecture, layers)
    rest = iter(layers)
    networks = tuple(
        _total(network, architecture, list(islice(rest, len(network))))
        for network in workload.networks
    )
    return replace(whole, networks=networks) if networks else whole


def _total(
    workload: Workload, architecture: Architecture, layers: Sequence[LayerMetrics]
) -> DesignMetrics:
    """Add up the layers of a network."""
    technology, instances = architecture.technology, architecture.compute.instances
    macs: float = workload.macs
    if architecture.sparse is not None:  # those that are skipped keep no MAC busy
        macs = instances * sum(layer.count * layer.cycles * layer.utilization for layer in layers)
    return DesignMetrics.of(
        tuple(layers),
        macs,
        instances,
        architecture.area_um2,
        operations=sum(layer.count * operations(layer.problem) for layer in workload),
        clock_ns=technology.clock_ns if technology else None,
    )
