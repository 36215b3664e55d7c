"""Every declared attribute goes the whole way: template, hardware, Timeloop's files, docs."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from timeloop_texts import PROBLEM

from dse.cli import main
from dse.cli.attributes import PARTS, facts
from dse.domain.architecture import (
    AccessEnergy,
    Architecture,
    Compute,
    HardwareArrays,
    HardwareBatch,
    Network,
    StorageLevel,
)
from dse.domain.attribute import Attribute, declared
from dse.domain.sparse import MetadataStorage, SparseLevel
from dse.errors import SpecError
from dse.space.template import ArchTemplate
from dse.timeloop.read.inputs import read_text
from dse.timeloop.write.inputs import architecture_yaml, art_yaml, ert_yaml
from dse.timeloop.write.template import template_yaml

#: What storage levels, their networks and MACs declare. Sparse designs have more, which
#: tests/space/test_sparse_template.py is about.
DENSE = [part for part in PARTS.values() if part not in (MetadataStorage, SparseLevel)]
ATTRIBUTES = [
    pytest.param(part, item, id=f"{part.__name__}.{item.name}")
    for part in DENSE
    for item in declared(part)
]
#: What 4cf6d4c finds with hyphens, too; it ignores others in silence.
HYPHENS = {
    *("tile-width", "router-energy", "energy-per-hop", "multiple-buffering", "wire-energy"),
    *("word-bits", "min-utilization", "block-size", "cluster-size", "addr-gen-energy"),
    "energy-per-ingress",
}
HYPHENS_ONLY = "energy_per_ingress"
#: Follows from the mesh.
DERIVED = "instances"
DOCS = Path(__file__).parents[2] / "docs"


def another(item: Attribute) -> Any:
    """A value that is not the default."""
    if item.name == DERIVED:
        return 4
    values = {int: (2, 3, 1), float: (1.5, 0.5), bool: (False, True)}
    return next(v for v in values[item.kind] if v != item.default and item.allows(v))


def out_of_bounds(item: Attribute) -> list[Any]:
    """Values just outside the bounds."""
    low = [] if item.at_least is None else [item.at_least - 1]
    above = [] if item.above is None else [item.above]
    return [*low, *above, *([] if item.at_most is None else [item.at_most * 2])]


def keys(*parts: type, arithmetic: bool = False) -> dict[str, Any]:
    """What a template says to set all attributes that it can set."""
    said = {x.template: (x, another(x)) for part in parts for x in declared(part) if x.template}
    return {
        key: f"{value} * one" if arithmetic and x.arithmetic and x.kind is not bool else value
        for key, (x, value) in said.items()
    }


def built(arithmetic: bool = False) -> Architecture:
    level = keys(StorageLevel, AccessEnergy, Network, arithmetic=arithmetic)
    content = {
        "name": "machine",
        "energy": "template",
        "variables": {"one": {"values": [1, 2]}},
        "storage": [{"name": "DRAM", "class": "DRAM"}, {"name": "Buffer", **level}],
        "compute": {"name": "MAC", **keys(Compute, arithmetic=arithmetic)},
    }
    return ArchTemplate.parse(content, "machine.yaml").tree({"one": 1})


@cache
def machine() -> Architecture:
    """Hardware on which no attribute of the buffer and the MACs has its default."""
    template = built()

    def others(part: type) -> dict[str, Any]:
        return {x.name: another(x) for x in declared(part) if x.template is None}

    buffer = template.level("Buffer")
    energy = replace(buffer.energy, **others(AccessEnergy))
    network = replace(buffer.network, **others(Network))
    buffer = replace(buffer, energy=energy, network=network, **others(StorageLevel))
    compute = replace(template.compute, **others(Compute))
    return replace(template.with_levels(Buffer=buffer), compute=compute)


@cache
def read_back(form: str) -> Architecture:
    """The machine from its files."""
    write = {"flat": architecture_yaml, "nodes": template_yaml}[form]
    machine_text = write(machine()) + ert_yaml(machine()) + art_yaml(machine())
    return read_text(machine_text + PROBLEM).architecture


def value(architecture: Architecture, part: type, item: Attribute) -> Any:
    owners = {type(x): x for x in (*architecture.level("Buffer").parts, architecture.compute)}
    return getattr(owners[part], item.name)


def test_all_that_describes_hardware_is_declared():
    names = {part: {x.name for x in declared(part)} for part in DENSE}
    left = {part.__name__: {f.name for f in fields(part)} - names[part] for part in DENSE}
    assert left == {
        "StorageLevel": {
            *("name", "kind", "energy", "network"),
            *("read_network", "update_network"),  # which declared networks serve it, by name
            # modelled for single mappings only: Timeloop's files alone say them
            *("power_gated_at", "bandwidth_scales", "distributes"),
            "part_of",  # what mapspace.uneven makes of a level
        },
        "AccessEnergy": set(),
        "Network": set(),
        "Compute": {"name", "kind"},
    }


@pytest.mark.parametrize(("part", "item"), ATTRIBUTES)
def test_templates_set_it(part, item):
    if item.template is None and item.name != DERIVED:
        assert value(built(), part, item) == item.default
        return
    assert value(built(), part, item) == another(item)
    found = value(built(arithmetic=True), part, item)
    assert found == another(item)
    assert type(found) is item.kind


@pytest.mark.parametrize(("part", "item"), ATTRIBUTES)
@pytest.mark.parametrize("form", ["flat", "nodes"])
def test_timeloops_files_carry_it(part, item, form):
    priced = item.name == "area_um2"  # by the ART, which names components only
    assert value(machine(), part, item) == another(item)
    carried = item.timeloop is not None or priced
    assert value(read_back(form), part, item) == (another(item) if carried else item.default)


@pytest.mark.parametrize(("part", "item"), [x for x in ATTRIBUTES if x.values[1].keys])
def test_every_spelling_is_read(part, item):
    tree = yaml.safe_load(architecture_yaml(machine()))
    _, buffer, mac = tree["architecture"]["subtree"][0]["local"]
    attributes = (mac if part is Compute else buffer)["attributes"]
    given = next(attributes[key] for key in item.keys.flat or item.keys.read)
    for key in (*item.keys.flat, *item.keys.read):
        attributes.pop(key, None)
    for key in item.keys.read:
        for spelling in {key, key.replace("_", "-")}:
            attributes[spelling] = given
            found = read_text(yaml.safe_dump(tree) + PROBLEM).architecture
            known = spelling in HYPHENS or ("-" not in spelling and spelling != HYPHENS_ONLY)
            assert value(found, part, item) == (another(item) if known else item.default)
            del attributes[spelling]


@pytest.mark.parametrize(("part", "item"), ATTRIBUTES)
def test_its_bounds_are_kept(part, item):
    owners = {type(x): x for x in (*machine().level("Buffer").parts, machine().compute)}
    for bad in out_of_bounds(item):
        changed = {item.name: bad}
        with pytest.raises(SpecError, match=f"{item.name} = .*, expected {item.expected}"):
            if part in (StorageLevel, Compute):
                replace(owners[part], **changed)
            else:
                key = "energy" if part is AccessEnergy else "network"
                replace(owners[StorageLevel], **{key: replace(owners[part], **changed)})


@pytest.mark.parametrize(("part", "item"), [x for x in ATTRIBUTES if x.values[1].array])
def test_the_model_reads_it(part, item):
    arrays = HardwareBatch.of([machine(), machine()]).arrays
    found = getattr(arrays, item.array)
    assert (found if part is Compute else found[0]).tolist() == [another(item)] * 2


def test_no_array_is_of_two_attributes():
    named = [x.values[1].array for x in ATTRIBUTES if x.values[1].array]
    assert len(set(named)) == len(named)
    of_several = {"fanout_x", "fanout_y", "latency_cycles", "hop_pj", "can_reduce", "bank"}
    assert set(HardwareArrays._fields) == {*named, *of_several}


def test_show_has_all(capsys):
    assert main(["show", "attributes"]) == 0
    shown = capsys.readouterr().out
    for title, part in PARTS.items():
        section = shown.partition(f"{title}:\n")[2].partition("\n\n")[0]
        for item in declared(part):
            assert f"\n  {item.name} " in f"\n{section}"
            for fact in facts(item):
                assert " ".join(fact.split()) in " ".join(section.split())  # lines wrap


@pytest.mark.parametrize(("title", "part"), PARTS.items())
def test_the_docs_have_all(title, part):
    text = (DOCS / "templates.md").read_text(encoding="utf-8")
    head = f"| {title} | meaning | unit | values | default | in templates | in Timeloop's files |"
    assert head in text
    _, rule, *rows = text[text.index(head) :].partition("\n\n")[0].splitlines()
    assert rule == "|---" * 7 + "|"
    # where this fails, what it expects is what belongs into the docs
    assert rows == [f"| {' | '.join(facts(item))} |" for item in declared(part)]
