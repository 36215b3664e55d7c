"""Writes timeloopfe's form: ``!Component`` and ``!Container`` nodes with constraints inside.

A fan-out belongs to a node there, and its spatial loops to a level in front of that node. An
architecture that was read from such nodes has these levels already (class ``dummy_storage``);
for any other, the node below the fan-out takes it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import yaml

from dse.domain.architecture import Architecture, Compute, StorageLevel
from dse.domain.constraints import LevelConstraint
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.timeloop.read.component_tree import COMPUTE_CLASSES
from dse.timeloop.write.attributes import node_keys
from dse.timeloop.write.constraints import Rule, constraint_rules
from dse.timeloop.write.inputs import factor_texts, refuse_unwritable, storage_class

_DUMMY = "dummy_storage"
_INTER = re.compile(r"inter_(.+)_spatial\Z")


@dataclass
class _TreeNode:
    """A node in the making; ``levels`` are the storage levels whose directives it takes."""

    tag: str
    content: dict[str, Any]
    spatial_of: str | None = None
    storage: str | None = None
    constraints: dict[str, Rule] = field(default_factory=dict)


def template_yaml(
    architecture: Architecture,
    problem: Problem | None = None,
    constraints: MappingOf[str, LevelConstraint] | None = None,
) -> str:
    """Return ``architecture`` as nodes, with the constraints inside where there are any."""
    refuse_unwritable(architecture)
    nodes = _nodes(architecture)
    if problem is not None and constraints:
        _attach(nodes, constraint_rules(constraints, architecture, problem))
    listed = []
    for node in nodes:
        content = dict(node.content)
        if node.constraints:
            content["constraints"] = node.constraints
        listed.append(_Tagged(node.tag, content))
    top = _Tagged("!Container", {"name": "system"})
    tree = {"architecture": {"version": 0.4, "nodes": [top, *listed]}}
    text: str = yaml.dump(tree, Dumper=_Dumper, sort_keys=False, width=100)
    return text


def template_mapping_yaml(mapping: Mapping, architecture: Architecture, problem: Problem) -> str:
    """Return ``mapping`` with targets that are nodes of :func:`template_yaml`."""
    directives: list[Rule] = []
    homes = {node.spatial_of: node.content["name"] for node in _nodes(architecture)}
    for s in reversed(range(len(architecture.levels))):
        level = architecture.levels[s]
        if math.prod(architecture.fanout(s)) > 1:
            directives.append(
                {
                    "target": homes[level.name],
                    "type": "spatial",
                    "factors": factor_texts(problem, mapping, s, spatial=True),
                    "permutation": [problem.dimensions[d] for d in mapping.spatial_permutation[s]],
                    "split": int(mapping.split[s]),
                    **_flags(problem, mapping.no_multicast[s], "no_reuse"),
                    **_flags(problem, mapping.no_link_transfer[s], "no_link_transfer"),
                }
            )
        if level.kind == _DUMMY:
            continue
        kept = [t for t, keep in zip(problem.tensors, mapping.keep[s], strict=True) if keep]
        rest = [t for t in problem.tensors if t not in kept]
        directives.append({"target": level.name, "type": "dataspace", "keep": kept, "bypass": rest})
        directives.append(
            {
                "target": level.name,
                "type": "temporal",
                "factors": factor_texts(problem, mapping, s),
                "permutation": [problem.dimensions[d] for d in mapping.permutation[s]],
                **_flags(problem, mapping.no_temporal_reuse[s], "no_reuse"),
            }
        )
    text: str = yaml.safe_dump(
        {"mapping": directives}, sort_keys=False, default_flow_style=None, width=100
    )
    return text


def _nodes(architecture: Architecture) -> list[_TreeNode]:
    """Return the nodes below the top, from the outside in."""
    nodes: list[_TreeNode] = []
    components: list[StorageLevel | Compute] = [*architecture.levels[::-1], architecture.compute]
    fan_out = (components[0].mesh_x, components[0].mesh_y)
    above: StorageLevel | None = None
    for place, component in enumerate(components):
        spatial = {"meshX": fan_out[0], "meshY": fan_out[1]} if math.prod(fan_out) > 1 else None
        if isinstance(component, StorageLevel) and component.kind == _DUMMY:
            named = _INTER.match(component.name)
            if named is None:
                raise SpecError(f"level '{component.name}': expected inter_NAME_spatial")
            if spatial is not None:
                raise SpecError(f"level '{component.name}': has a fan-out above itself")
        else:
            content = _component(component)
            node = _TreeNode("!Component", content)
            if isinstance(component, StorageLevel):
                node.storage = component.name
            if spatial is not None and above is not None and above.kind == _DUMMY:
                found = _INTER.match(above.name)
                assert found is not None
                if found[1] == component.name:
                    content["spatial"], node.spatial_of = spatial, above.name
                else:
                    container = {"name": found[1], "spatial": spatial}
                    nodes.append(_TreeNode("!Container", container, spatial_of=above.name))
            elif spatial is not None:
                content["spatial"] = spatial
                node.spatial_of = above.name if above is not None else None
            nodes.append(node)
        if isinstance(component, StorageLevel):
            inner = components[place + 1]
            below = (inner.mesh_x // component.mesh_x, inner.mesh_y // component.mesh_y)
            two_dummies = (
                component.kind == _DUMMY
                and isinstance(inner, StorageLevel)
                and inner.kind == _DUMMY
            )
            if two_dummies and math.prod(below) > 1:
                found = _INTER.match(component.name)
                assert found is not None
                container = {"name": found[1], "spatial": {"meshX": below[0], "meshY": below[1]}}
                nodes.append(_TreeNode("!Container", container, spatial_of=component.name))
                below = (1, 1)
            fan_out, above = below, component
    return nodes


def _attach(nodes: list[_TreeNode], rules: list[Rule]) -> None:
    """Put each rule into its node."""
    storage = {node.storage: node for node in nodes if node.storage is not None}
    spatial = {node.spatial_of: node for node in nodes if node.spatial_of is not None}
    for rule in rules:
        content = dict(rule)
        kind, target = content.pop("type"), content.pop("target")
        if kind == "utilization":
            raise SpecError("a least parallelism has no place in timeloopfe's nodes")
        content.pop("no_multicast_no_reduction", None)
        content.pop("no_temporal_reuse", None)
        node = (spatial if kind == "spatial" else storage).get(target)
        if node is None:
            continue  # the rules of a dummy level follow from its being one
        if "permutation" in content:
            content["permutation"] = list(content["permutation"])
        if "factors" in content:
            content["factors"] = content["factors"].split()
        node.constraints["dataspace" if kind == "bypass" else kind] = content


def _component(component: StorageLevel | Compute) -> dict[str, Any]:
    if isinstance(component, Compute):
        recognised = any(c in component.kind for c in COMPUTE_CLASSES)
        return {
            "name": component.name,
            "class": component.kind if recognised else "compute",
            "attributes": {"datawidth": component.word_bits, **node_keys(component)},
        }
    attributes: dict[str, Any] = {
        "datawidth": component.word_bits,
        "width": component.word_bits * component.block_size * component.cluster_size,
    }
    if component.size_words is not None:
        depth, rest = divmod(component.size_words, component.block_size)
        attributes |= {"entries": component.size_words} if rest else {"depth": depth}
    for part in component.parts:
        attributes |= node_keys(part)
    attributes["reduction_supported"] = component.can_reduce
    return {"name": component.name, "class": storage_class(component), "attributes": attributes}


def _flags(
    problem: Problem, row: np.ndarray[Any, np.dtype[np.bool_]], key: str
) -> dict[str, list[str]]:
    names = [t for t, flag in zip(problem.tensors, row, strict=True) if flag]
    return {key: names} if names else {}


class _Tagged:
    """A map with one of timeloopfe's tags."""

    def __init__(self, tag: str, content: dict[str, Any]) -> None:
        self.tag = tag
        self.content = content


class _Dumper(yaml.SafeDumper):
    """Writes tagged maps, and small lists and maps in one line."""


def _represent(dumper: yaml.SafeDumper, node: _Tagged) -> yaml.Node:
    return dumper.represent_mapping(node.tag, node.content)


_Dumper.add_representer(_Tagged, _represent)
