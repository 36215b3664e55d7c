"""Files written for Timeloop: they read back as what was written, and run on the real binaries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from strategies import architectures, cases, mappings, problems

from dse.domain.architecture import Architecture, Compute, StorageLevel
from dse.domain.mapping import Mapping
from dse.domain.problem import SHAPES, Layer, Problem
from dse.errors import InvalidMapping, SpecError
from dse.model import evaluate_one
from dse.timeloop.read.inputs import read_files, read_text
from dse.timeloop.write.inputs import (
    architecture_yaml,
    art_yaml,
    ert_yaml,
    mapping_yaml,
    problem_yaml,
    write_design,
)

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
VERSIONS = ("4cf6d4c", "3.0.3")


def visible(mapping: Mapping, architecture: Architecture) -> Mapping:
    """The mapping without what no file says: spatial details of levels without fan-out."""
    fields = {k: v if v is None else v.copy() for k, v in vars(mapping).items()}
    trivial = Mapping.trivial(*mapping.temporal.shape, mapping.keep.shape[1])
    for s in range(len(architecture.levels)):
        if architecture.fanout(s) == (1, 1):
            names = ("spatial_permutation", "split", "no_multicast", "no_link_transfer")
            for name in names:
                fields[name][s] = getattr(trivial, name)[s]
    return Mapping(**fields)


def text_of(architecture: Architecture, problem: Problem, mapping: Mapping) -> str:
    return "".join(
        (
            architecture_yaml(architecture),
            ert_yaml(architecture),
            art_yaml(architecture),
            problem_yaml(problem),
            mapping_yaml(mapping, architecture, problem),
        )
    )


def expressible(architecture: Architecture) -> Architecture:
    """The architecture without clusters of DRAM, which Timeloop aborts on."""
    levels = [replace(x, cluster_size=1) if x.is_dram else x for x in architecture.levels]
    return replace(architecture, levels=tuple(levels))


@st.composite
def placed(draw) -> tuple[Architecture, Problem, Mapping]:
    architecture, problem = expressible(draw(architectures())), draw(problems())
    return architecture, problem, draw(mappings(architecture, problem))


@pytest.mark.slow
@SETTINGS
@given(case=placed(), version=st.sampled_from((*VERSIONS, "dosa")))
def test_what_was_written_reads_back_the_same(case, version):
    architecture, problem, mapping = case
    found = read_text(text_of(*case), version)
    assert found.architecture == architecture
    assert found.problem == problem
    assert found.mapping == visible(mapping, architecture)


def test_a_design_reads_back_from_its_folder(tmp_path):
    architecture, layer, mapping = small_design()
    other = replace(layer, name="net/conv1")
    paths = write_design(tmp_path / "best", architecture, [(layer, mapping), (other, mapping)])
    assert {p.name for p in paths} == {
        "arch.yaml",
        "ERT.yaml",
        "ART.yaml",
        "conv1.problem.yaml",
        "conv1.mapping.yaml",
        "net_conv1.problem.yaml",
        "net_conv1.mapping.yaml",
    }
    found = read_files([p for p in paths if not p.name.startswith("net")])
    assert (found.architecture, found.problem) == (architecture, layer.problem)
    assert found.mapping == mapping


def test_layers_of_one_file_name_are_refused(tmp_path):
    architecture, layer, mapping = small_design()
    layers = [(replace(layer, name=name), mapping) for name in ("a/b", "a_b")]
    with pytest.raises(SpecError, match="a_b"):
        write_design(tmp_path, architecture, layers)


def test_what_timeloop_cannot_read_is_refused():
    architecture, layer, mapping = small_design()
    dotted = replace(architecture.levels[0], name="a.b")
    with pytest.raises(SpecError, match=r"a\.b"):
        architecture_yaml(replace(architecture, levels=(dotted, architecture.levels[1])))
    huge = replace(architecture.levels[0], size_words=2**33 + 1, block_size=2)
    with pytest.raises(SpecError, match="more than Timeloop can read"):
        architecture_yaml(replace(architecture, levels=(huge, architecture.levels[1])))
    mapping.spatial[1, 4] = 2
    with pytest.raises(SpecError, match="no fan-out"):
        mapping_yaml(mapping, architecture, layer.problem)


def test_other_kinds_of_storage_and_large_sizes_survive():
    architecture, layer, mapping = small_design()
    inner = replace(architecture.levels[0], kind="eDRAM macro", size_words=2**34, block_size=8)
    text = text_of(
        replace(architecture, levels=(inner, architecture.levels[1])), layer.problem, mapping
    )
    found = read_text(text).architecture.levels[0]
    assert (found.kind, found.size_words) == ("SRAM", 2**34)


def small_design() -> tuple[Architecture, Layer, Mapping]:
    levels = (
        StorageLevel("Buffer", size_words=4096, area_um2=12.5),
        StorageLevel("DRAM", kind="DRAM", shared_bandwidth=8.0),
    )
    architecture = Architecture("small", levels, Compute(mesh_x=4, instances=4, energy_pj=0.5))
    problem = Problem(SHAPES["cnn-layer"], {"R": 3, "S": 1, "P": 4, "Q": 2, "C": 2, "K": 4, "N": 1})
    mapping = Mapping.trivial(2, 7, 3)
    mapping.temporal[1] = problem.sizes
    mapping.temporal[1, 5] = 1
    mapping.spatial[0, 5] = 4
    return architecture, Layer("conv1", problem), mapping


# ------------------------------------------------------------------------ the real timeloop-model

BINARY = os.environ.get("DSE_TIMELOOP_MODEL") or shutil.which("timeloop-model")
live = pytest.mark.skipif(
    BINARY is None, reason="no timeloop-model on PATH nor in DSE_TIMELOOP_MODEL"
)


def run_timeloop(folder: Path) -> tuple[str, str]:
    """Run the binary in a folder; what it printed, and its stats file (empty if there is none)."""
    environment = {**os.environ, "TIMELOOP_HIDE_INCONSEQUENTIAL_STATS": "0"}
    done = subprocess.run(
        [str(BINARY), *sorted(p.name for p in folder.glob("*.yaml"))],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    stats = folder / "timeloop-model.stats.txt"
    printed = done.stdout + done.stderr
    return printed, stats.read_text() if stats.exists() else ""


def version_of_binary(folder: Path) -> str:
    """Tell the version by a file that only 4cf6d4c converts."""
    architecture, layer, mapping = small_design()
    write_design(folder, architecture, [(layer, mapping)])
    printed, _ = run_timeloop(folder)
    return "4cf6d4c" if "Hyphenated keyword" in printed else "3.0.3"


@live
@settings(SETTINGS, max_examples=25, phases=[Phase.generate])
@given(case=cases())
def test_the_real_timeloop_says_the_same(case, tmp_path_factory):
    version = version_of_binary(tmp_path_factory.mktemp("probe"))
    architecture, problem, mapping = expressible(case[0]), *case[1:]
    folder = tmp_path_factory.mktemp("case")
    write_design(folder, architecture, [(Layer("layer", problem), mapping)])
    printed, text = run_timeloop(folder)
    # Outputs with sliding windows can make Timeloop subtract more than there is, and abort.
    assume("Assertion" not in printed)
    try:
        stats = evaluate_one(architecture, problem, mapping, version)
    except InvalidMapping as rejection:
        assert str(rejection) in printed
        return
    summary = text[text.rindex("Summary Stats") :]
    cycles = re.search(r"^Cycles: (\d+)", summary, re.M)
    energy = re.search(r"^Energy: ([\d.eE+-]+) uJ", summary, re.M)
    assert cycles is not None, printed
    assert energy is not None
    assert int(cycles[1]) == stats.cycles
    assert np.isclose(float(energy[1]), stats.energy_uj, rtol=1e-6, atol=0.00501)
