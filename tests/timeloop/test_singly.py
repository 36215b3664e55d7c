"""What components declare that is modelled one mapping at a time; levels that bypass themselves.

What is expected follows from Timeloop's rules for what it equals: a scale of two on every data
space is half the bandwidth, and a level that is gated with another leaks as one of all instances.
"""

from __future__ import annotations

import json
import logging

import pytest
from timeloop_texts import MAPPING, PROBLEM, RF, tree

from dse.cli import main
from dse.domain.architecture import HardwareBatch
from dse.errors import InvalidMapping, SpecError
from dse.timeloop.evaluate import evaluate_text
from dse.timeloop.mapper_run import tasks
from dse.timeloop.read.inputs import read_text
from dse.timeloop.write.inputs import mapping_yaml

REST = PROBLEM + MAPPING
GLB = "entries: 65536"
SCALES = "per_dataspace_bandwidth_consumption_scale"
#: RF leaks; there are 8 of it for each GLB, of which the mapping uses 8.
LEAKS = """\
ERT:
  version: 0.4
  tables:
  - name: s.RF
    actions: [{name: read, energy: 1}, {name: write, energy: 1}, {name: leak, energy: 2}]
"""


def stats(glb=GLB, rf=RF, more="", version="4cf6d4c", mapping=MAPPING):
    return evaluate_text(tree(glb=glb, rf=rf) + PROBLEM + mapping + more, version).stats


def scaled(**scales):
    listed = ", ".join(f"{name}: {scale}" for name, scale in scales.items())
    return f"{SCALES}: {{{listed}}}"


def test_a_scale_of_all_data_spaces_divides_the_bandwidth():
    twice = scaled(Inputs=2, Weights=2, Outputs=2)
    for limit in ("read_bandwidth", "write_bandwidth", "shared_bandwidth"):
        found = stats(f"{GLB}, {limit}: 0.5, {twice}")
        halved = stats(f"{GLB}, {limit}: 0.25")
        assert found.cycles == halved.cycles > stats().cycles
        assert found.levels["GLB"].slowdown == pytest.approx(halved.levels["GLB"].slowdown)
        assert found.utilization == halved.utilization
        assert found.energy_pj == pytest.approx(halved.energy_pj, rel=1e-12)


def test_a_scale_is_of_its_data_space_alone():
    limit = "read_bandwidth: 0.5"
    nothing = stats(f"{GLB}, {limit}, {scaled(Inputs=0, Weights=0, Outputs=0)}")
    assert nothing.cycles == stats().cycles
    assert nothing.levels["GLB"].slowdown == 1.0
    one = stats(f"{GLB}, {limit}, {scaled(Inputs=0)}")
    assert stats().cycles <= one.cycles < stats(f"{GLB}, {limit}").cycles
    assert stats(f"{GLB}, {limit}, {scaled(Inputs=1)}").cycles == stats(f"{GLB}, {limit}").cycles


def test_what_came_after_3_0_3_is_ignored_there_with_a_warning(caplog):
    found = stats(f"{GLB}, read_bandwidth: 0.5, {scaled(Inputs=9)}", version="3.0.3")
    assert found == stats(f"{GLB}, read_bandwidth: 0.5", version="3.0.3")
    assert f"{SCALES}: is ignored, as Timeloop 3.0.3 does not read it" in caplog.text


def test_a_level_that_is_gated_with_another_leaks_as_a_whole():
    own, gated = stats(more=LEAKS), stats(rf=f"{RF}, power_gated_at: GLB", more=LEAKS)
    leak = own.levels["RF"].leak_energy_pj
    used = own.levels["RF"].tensors["Inputs"].utilized_instances
    instances = 8
    assert leak == 2 * own.cycles * used > 0
    assert gated.levels["RF"].leak_energy_pj == 2 * own.cycles * instances
    extra = gated.levels["RF"].leak_energy_pj - leak
    assert gated.energy_pj == pytest.approx(own.energy_pj + extra, rel=1e-12)
    for same in ("RF", "null"):
        assert stats(rf=f"{RF}, power_gated_at: {same}", more=LEAKS) == own


def test_gates_matter_only_with_leakage():
    text = tree(glb=GLB, rf=f"{RF}, power_gated_at: GLB") + REST
    HardwareBatch.of(read_text(text).architecture)
    leaking = read_text(text + LEAKS).architecture
    assert leaking.singly == "level 'RF': gates of power at other levels"
    with pytest.raises(SpecError, match="gates of power.*for single mappings only"):
        HardwareBatch.of(leaking)


def test_a_network_of_type_m_to_n_is_modelled_where_it_has_nothing_to_distribute():
    distributes = f"{RF}, network-type: 'M:N'"
    with pytest.raises(SpecError, match=r"(?s)'RF'.*ERROR: complex multicast signature detected"):
        stats(rf=distributes)
    one_kind = MAPPING.replace("K=4 P=2", "K=4 P=1").replace("P=2 Q=4", "P=4 Q=4")
    with pytest.raises(SpecError, match="'RF'.*distributes the multicast of .* not modelled"):
        stats(rf=distributes, mapping=one_kind)
    alone = MAPPING.replace("K=4 P=2", "K=1 P=1").replace("C=2 K=2", "C=2 K=8")
    alone = alone.replace("P=2 Q=4", "P=4 Q=4")
    glb = f"{GLB}, network-type: 'M:N'"
    assert stats(glb, mapping=alone) == stats(mapping=alone)


def test_what_such_a_network_distributes_is_asked_of_tensors_that_need_not_fit():
    alone = MAPPING.replace("K=4 P=2", "K=1 P=1").replace("C=2 K=2", "C=2 K=8")
    alone = alone.replace("P=2 Q=4", "P=4 Q=4")
    small, distributes = "entries: 60", "network-type: 'M:N'"
    with pytest.raises(InvalidMapping, match="couldn't map level GLB"):
        stats(small, mapping=alone)
    bypassing = f"{alone}- {{target: GLB, type: bypass, bypass: [Weights]}}\n"
    plain = stats(small, mapping=bypassing)
    assert stats(f"{small}, {distributes}", mapping=bypassing) == plain


def test_overbooking_changes_nothing_for_dense_problems(caplog):
    assert stats(f"{GLB}, allow_overbooking: true") == stats()
    assert "allow_overbooking: has no effect on dense problems" in caplog.text
    with pytest.raises(InvalidMapping, match="couldn't map level GLB"):
        stats("entries: 4, allow_overbooking: true")


def test_levels_that_are_too_small_bypass_themselves_where_asked(caplog):
    asked = "model: {auto_bypass_on_failure: true}\n"
    with pytest.raises(InvalidMapping, match="couldn't map level GLB"):
        stats("entries: 4")
    found = stats("entries: 4", more=asked)
    bypassed = "- {target: GLB, type: bypass, bypass: [Weights, Inputs, Outputs]}\n"
    assert found == stats("entries: 4", mapping=MAPPING + bypassed)
    assert "level 'GLB': its tiles have" in caplog.text
    assert stats(more=asked) == stats()


def test_such_hardware_is_searched_one_mapping_at_a_time(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    scale = f"read_bandwidth: 0.5, {scaled(Inputs=4)}"
    (tmp_path / "in.yaml").write_text(tree(glb=f"{GLB}, {scale}") + PROBLEM)
    (unasked,) = tasks([tmp_path / "in.yaml"])
    assert unasked.effort.samples == 10_000
    (task,) = tasks([tmp_path / "in.yaml"], settings={"samples": 60, "objective": "delay"})
    found = task.run()
    assert found.certificate is None
    assert any("nothing is proven" in note for note in found.notes)
    again = evaluate_text(
        tree(glb=f"{GLB}, {scale}") + PROBLEM + _directives(task, found), "4cf6d4c"
    )
    assert again.stats.cycles == found.evaluation.stats.cycles == found.metrics[0][1]


def _directives(task, found):
    return mapping_yaml(found.evaluation.mapping, task.project.architecture, task.project.problem)


def test_model_says_it_in_json(tmp_path, capsys):
    path = tmp_path / "in.yaml"
    path.write_text(tree(glb=GLB, rf=f"{RF}, power_gated_at: GLB") + REST + LEAKS)
    assert main(["model", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["levels"]["RF"]["leak_energy_pj"] == 2 * said["cycles"] * 8
