"""`benchmarks/peers.py`: what peers are asked, what is made of their answers. No peer is needed."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import peers  # noqa: E402
import peers_accelforge  # noqa: E402
import peers_zigzag  # noqa: E402
from peers_job import job_of  # noqa: E402
from peers_nest import UnevenError, mapping_of  # noqa: E402

from dse.components.chain import energy_chain  # noqa: E402
from dse.domain.problem import SHAPES, Problem  # noqa: E402
from dse.mapspace.sampling import sample_valid  # noqa: E402
from dse.mapspace.space import Mapspace  # noqa: E402
from dse.model.evaluate import evaluate_one  # noqa: E402
from dse.space import catalog  # noqa: E402
from dse.space.mapspace_choice import freed  # noqa: E402

VERSION = "4cf6d4c"
CONV = Problem(
    SHAPES["cnn-layer"],
    {"R": 3, "S": 1, "P": 8, "Q": 4, "C": 32, "K": 16, "N": 1},
    {"Wstride": 2},
)


def hardware(name="gemmini"):
    template = freed(catalog.template(name))
    return energy_chain(template.energy).price(template.build(template.defaults))


def nest_of(mapping, problem, architecture):
    """Return the nest of an even mapping, outermost first."""
    steps = []
    for s in reversed(range(len(architecture.levels))):
        kept = [t for t, flag in zip(problem.tensors, mapping.keep[s], strict=True) if flag]
        steps.append({"store": architecture.levels[s].name, "tensors": kept})
        for d in reversed(mapping.permutation[s].tolist()):
            if mapping.temporal[s, d] > 1:
                count = int(mapping.temporal[s, d])
                steps.append({"loop": problem.dimensions[d], "count": count})
        inner = architecture.levels[s - 1].name if s else architecture.compute.name
        for d, factor in enumerate(mapping.spatial[s].tolist()):
            if factor > 1:
                steps.append({"loop": problem.dimensions[d], "count": factor, "into": inner})
    return steps


def test_a_job_says_hardware_prices_and_layer():
    job = job_of(hardware(), CONV, even=True)
    assert job["even"]
    assert [x["name"] for x in job["levels"]] == ["DRAM", "Scratchpad", "Accumulator", "Registers"]
    assert [x["fanout"] for x in job["levels"]] == [1, 1, 16, 16]
    assert [x["keep"] for x in job["levels"]][1:] == [
        ["Weights", "Inputs"],
        ["Outputs"],
        ["Weights"],
    ]
    assert job["levels"][0]["size_words"] is None
    assert job["levels"][1]["words_per_cycle"] == 32
    assert job["levels"][3]["words_per_cycle"] is None
    assert job["bounds"] == {"R": 3, "P": 8, "Q": 4, "C": 32, "K": 16}
    ranks = {x["name"]: x["ranks"] for x in job["tensors"]}
    assert [("R", 1), ("P", 2)] in ranks["Inputs"] or [("P", 2), ("R", 1)] in ranks["Inputs"]
    assert [x["name"] for x in job["tensors"] if x["output"]] == ["Outputs"]


def test_hardware_that_peers_say_otherwise_is_refused():
    with pytest.raises(ValueError, match="eyeriss, shared_glb: leakage or addresses"):
        job_of(hardware("eyeriss"), CONV, even=False)
    plain = hardware()
    scratchpad = dataclasses.replace(plain.levels[2], read_bandwidth=4.0)
    levels = (*plain.levels[:2], scratchpad, plain.levels[3])
    with pytest.raises(ValueError, match="Scratchpad: two bandwidths"):
        job_of(dataclasses.replace(plain, levels=levels), CONV, even=False)


def test_accelforge_is_asked_for_the_same():
    job = job_of(hardware(), CONV, even=False)
    text = peers_accelforge.architecture(job).replace("!Memory", "").replace("!Compute", "")
    dram, scratchpad, accumulator, registers, compute = yaml.safe_load(text)["arch"]["nodes"]
    assert dram["size"] == "inf"
    assert scratchpad["size"] == 128 * 1024 * 8
    assert accumulator["size"] == 512 * 32
    assert accumulator["spatial"][0]["fanout"] == registers["spatial"][0]["fanout"] == 16
    assert scratchpad["tensors"] == {"keep": "Weights | Inputs"}
    read = scratchpad["actions"][0]
    assert read["bits_per_action"] == 16 * 8
    assert read["throughput"] == 2  # accesses of 16 words a cycle
    assert read["energy"] == pytest.approx(59.2563, rel=1e-5)
    assert "spatial" not in compute
    (layer,) = yaml.safe_load(peers_accelforge.workload(job))["workload"]["einsums"]
    inputs = next(x for x in layer["tensor_accesses"] if x["name"] == "Inputs")
    assert {"r + 2 * p", "2 * p + r"} & set(inputs["projection"].values())
    assert [x["name"] for x in layer["tensor_accesses"] if x.get("output")] == ["Outputs"]


def test_zigzag_is_asked_for_the_same():
    job = job_of(hardware(), CONV, even=False)
    asked = peers_zigzag.accelerator(job)
    assert list(asked["memories"]) == ["Registers", "Accumulator", "Scratchpad", "DRAM"]
    served = {name: x["served_dimensions"] for name, x in asked["memories"].items()}
    assert served == {
        "Registers": [], "Accumulator": ["D2"], "Scratchpad": ["D1", "D2"], "DRAM": ["D1", "D2"],
    }  # fmt: skip
    assert asked["operational_array"]["sizes"] == [16, 16]
    scratchpad = asked["memories"]["Scratchpad"]
    assert scratchpad["ports"][0]["bandwidth_max"] == 256
    assert scratchpad["r_cost"] == pytest.approx(2 * 59.2563, rel=1e-5)
    (layer,) = peers_zigzag.workload(job)
    assert "ix=2*ox+1*fx" in layer["dimension_relations"]
    assert dict(zip(layer["loop_dims"], layer["loop_sizes"], strict=True)) == {
        "B": 1, "K": 16, "C": 32, "OY": 4, "OX": 8, "FY": 1, "FX": 3,
    }  # fmt: skip
    assert layer["operand_precision"] == {"W": 8, "I": 8, "O": 32, "O_final": 8}
    with pytest.raises(ValueError, match="two axes"):
        peers_zigzag.accelerator({**job, "mac_fanout": 2})


def test_what_zigzag_found_is_read_as_a_nest():
    architecture = hardware()
    job = job_of(architecture, CONV, even=False)
    temporal = {
        "W": [[("OX", 4), ("OX", 2)], [("C", 2), ("FX", 3), ("OY", 4)], []],
        "I": [[("OX", 4), ("OX", 2), ("C", 2), ("FX", 3)], [("OY", 4)]],
        "O": [[("OX", 4), ("OX", 2), ("C", 2), ("FX", 3)], [("OY", 4)]],
    }
    nest = peers_zigzag.nest(job, temporal, [[("C", 16.0)], [("K", 16.0)], []])
    assert [x.get("store", x.get("loop")) for x in nest] == [
        "DRAM", "DRAM", "DRAM", "Scratchpad", "Q", "Scratchpad", "K", "Accumulator", "R", "C", "C",
        "Registers", "P", "P",
    ]  # fmt: skip
    mapping = mapping_of(nest, CONV, architecture)
    names = CONV.dimensions
    assert mapping.temporal[3, names.index("Q")] == 4
    assert mapping.temporal[0, names.index("P")] == 8
    assert mapping.spatial[2, names.index("K")] == 16
    assert mapping.spatial[1, names.index("C")] == 16
    assert evaluate_one(architecture, CONV, mapping, VERSION).cycles > 0


def test_an_even_nest_is_its_mapping():
    architecture = hardware()
    found = sample_valid(Mapspace(CONV, architecture), 30, 0, 100_000).mappings
    assert len(found) == 30
    for b in range(len(found)):
        own = mapping_of(nest_of(found[b], CONV, architecture), CONV, architecture)
        one, other = (evaluate_one(architecture, CONV, m, VERSION) for m in (found[b], own))
        assert (one.cycles, one.energy_pj) == (other.cycles, other.energy_pj)


def nested(*inner):
    return [{"store": "DRAM", "tensors": ["Weights", "Inputs", "Outputs"]}, *inner]


def store(level, *tensors):
    return {"store": level, "tensors": list(tensors)}


def loop(name, count):
    return {"loop": name, "count": count}


INNER = (
    store("Accumulator", "Outputs"), loop("R", 3), loop("C", 32), loop("K", 16),
    store("Registers", "Weights"), loop("P", 4),
)  # fmt: skip


def test_storage_moves_over_loops_that_do_not_matter_to_it():
    architecture = hardware()
    over = nested(
        store("Scratchpad", "Weights"), loop("Q", 4), loop("P", 2),
        store("Scratchpad", "Inputs"), *INNER,
    )  # fmt: skip
    even = nested(loop("Q", 4), loop("P", 2), store("Scratchpad", "Weights", "Inputs"), *INNER)
    one, other = (mapping_of(x, CONV, architecture) for x in (over, even))
    assert (one.temporal == other.temporal).all()
    assert (one.permutation == other.permutation).all()
    assert np.prod(one.temporal, axis=0).tolist() == list(CONV.bounds.values())


def test_what_timeloop_has_no_words_for_is_refused():
    architecture = hardware()
    uneven = nested(
        store("Scratchpad", "Inputs"), loop("Q", 4), loop("K", 2),
        store("Scratchpad", "Weights"), *INNER,
    )  # fmt: skip
    with pytest.raises(UnevenError, match="Scratchpad stand at different loops"):
        mapping_of(uneven, CONV, architecture)
    twice = nested(
        loop("P", 2), loop("Q", 4), loop("P", 2), store("Scratchpad", "Weights", "Inputs"),
        *INNER[:-1], loop("P", 2),
    )  # fmt: skip
    with pytest.raises(UnevenError, match="P has two loops at DRAM"):
        mapping_of(twice, CONV, architecture)
    assert peers.priced(uneven, CONV, architecture)[0] is None


def run(code, timeout_s=60.0):
    return peers.ask([sys.executable, "-c", code], {"a": 1}, timeout_s)


@pytest.mark.slow
def test_a_mapper_answers_fails_or_takes_too_long():
    answered = run("import json, sys; json.dump({'got': json.load(sys.stdin)}, sys.stdout)")
    assert answered["got"] == {"a": 1}
    assert answered["process_cpu_s"] > 0
    failed = run("raise SystemExit('no such layer')")
    assert failed["error"] == "no such layer"
    late = run("import time; time.sleep(60)", 0.5)
    assert late["error"] == "not done after 0.5 s"


def test_the_table_compares_by_our_model():
    rows = [
        peers.Entry("a", "one", 3.0, 2.0, 1.0, 1.0, 2.0, 2.0, "proven"),
        peers.Entry("a", "two", 1.0, 3.0, 1.0, 1.0, 2.0, 2.0),
        peers.Entry("b", "two", None, None, None, None, 2.0, 2.0, "not here"),
    ]
    lines = peers.table(rows).splitlines()
    assert len(lines) == 5
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[4] for row in cells[2:]] == ["1.0000", "1.5000", "-"]
    assert cells[4][-1] == "not here"
    assert all(len(row) == len(cells[0]) for row in cells)
