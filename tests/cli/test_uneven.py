"""``map`` with mapspace.uneven: what is told, what is written, what is refused."""

import json
import sys

import pytest
import timeloop_files

from dse.cli import main
from dse.goals.mapspace_text import evenness_text
from dse.testing import tiny
from dse.timeloop.evaluate import evaluate_files

NET = "name: net\nshape: gemm\nlayers: [{name: a, M: 12, N: 12, K: 6}]\n"
UNEVEN = evenness_text(["Buffer"])


@pytest.fixture
def words(tmp_path):
    """Return words of ``map`` on small hardware, whose buffer has so many words a cycle."""

    def made(bandwidth="2 * pe_dim", *, size="buffer_kb * 24"):
        arch = tmp_path / "tiny.yaml"
        text = tiny.ARCH.replace("buffer_kb * 1024", size)
        arch.write_text(
            text.replace("shared_bandwidth: 2 * pe_dim", f"shared_bandwidth: {bandwidth}")
        )
        net = tmp_path / "net.yaml"
        net.write_text(NET)
        return [
            "map", f"arch={arch}", f"layer={net}/a", "variables.pe_dim=2", "variables.buffer_kb=4",
            "samples=600", f"runs={tmp_path}", "mapspace.padding=off", "-q",
        ]  # fmt: skip

    return made


def found(capsys, words):
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_is_written_is_what_was_found(words, capsys, tmp_path):
    even = found(capsys, [*words(), "mapper=optimal", "objective=energy"])
    result = found(capsys, [*words(), "mapper=optimal", "objective=energy", "mapspace.uneven=true"])
    assert result["certificate"]["optimal"]
    assert even["certificate"]["optimal"]
    assert result["objective"]["value"] < even["objective"]["value"]
    assert UNEVEN in result["mapspace"]
    assert UNEVEN in result["certificate"]["assumed"]
    assert set(result["stats"]["levels"]) == {"Registers", "Buffer", "Buffer_2", "Buffer_3", "DRAM"}
    best = tmp_path / result["folder"] / "best"
    read = evaluate_files(sorted(best.iterdir()))
    assert read.stats.cycles == result["stats"]["cycles"]
    assert read.stats.energy_pj == pytest.approx(result["stats"]["energy_pj"], rel=1e-12)
    for name, level in read.stats.levels.items():
        own = result["stats"]["levels"][name]["tensors"]
        for tensor, one in level.tensors.items():
            assert (one.reads, one.fills) == (own[tensor]["reads"], own[tensor]["fills"])
    assert (best.parent / "timeloop-model.stats.txt").exists()


def test_a_bandwidth_that_parts_share_is_not_written(words, capsys, tmp_path):
    asked = [*words("0.25"), "objective=energy", "mapspace.uneven=[Buffer]"]
    result = found(capsys, asked)
    assert "share a bandwidth: it would count" in result["unwritten"]
    folder = tmp_path / result["folder"]
    assert {x.name for x in folder.iterdir()} == {"result.json", "timeloop-model.map.txt"}
    assert main(asked) == 0
    assert "files        none for timeloop-model: Timeloop's files" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("mapspace.uneven=Bufer", "unknown storage level 'Bufer'; did you mean 'Buffer'"),
        ("mapspace.uneven=Registers", "mapspace.uneven = Registers: "),
        ("evaluator=cycles", "evaluator=cycles does not know of levels that share one buffer"),
        ("samples=5", "samples = 5, expected at least 6"),
    ],
)
def test_what_cannot_be_is_refused(words, capsys, setting, why):
    assert main([*words(), "mapspace.uneven=true", setting]) == 2
    assert why in capsys.readouterr().err


def test_timeloop_mapper_is_not_asked(words, capsys, monkeypatch):
    monkeypatch.setenv("DSE_TIMELOOP_MAPPER", sys.executable)
    assert main([*words(), "mapspace.uneven=true", "mapper=timeloop"]) == 2
    assert "'Buffer': Timeloop's files cannot say that several" in capsys.readouterr().err


def test_runs_refuse_it(words, capsys):
    asked = [x for x in words()[1:] if not x.startswith(("layer", "-q"))]
    assert main(["run", *asked, "workload=resnet18", "mapspace.uneven=Buffer"]) == 2
    assert "uneven mappings are searched of one layer" in capsys.readouterr().err


def test_files_are_searched_with_the_architecture_that_says_so(tmp_path, capsys):
    files = [str(path) for path in timeloop_files.write(tmp_path)]
    rules = tmp_path / "rules.yaml"
    rules.write_text(timeloop_files.KEEP, encoding="utf-8")
    asked = ["map", *files, str(rules), "objective=energy", "--json", "-q"]
    values = {}
    for uneven in ("false", "true"):
        assert main([*asked, f"mapspace.uneven={uneven}", "-o", str(tmp_path / uneven)]) == 0
        values[uneven] = json.loads(capsys.readouterr().out)
    written = tmp_path / "true"
    problem = next(x for x in files if "problem" in (tmp_path / x).read_text().split(":")[0])
    read = evaluate_files(
        [
            *(problem, written / "timeloop-mapper.arch.yaml", written / "timeloop-mapper.map.yaml"),
            *(written / "timeloop-mapper.ERT.yaml", written / "timeloop-mapper.ART.yaml"),
        ]
    )
    result = values["true"]
    assert read.stats.energy_pj == pytest.approx(result["metrics"][0]["value"], rel=1e-12)
    assert read.stats.cycles == result["stats"]["cycles"]
    assert "uneven mappings at all levels that can be" in result["search"]["mapspace"]
    assert "uneven mappings at Buf (" in result["certificate"]["assumed"]
    assert result["metrics"][0]["value"] <= values["false"]["metrics"][0]["value"]
    assert not (tmp_path / "false" / "timeloop-mapper.arch.yaml").exists()
    counted = [x for x in asked if not x.startswith("objective")]
    assert main([*counted, "objective=accesses-0", "mapspace.uneven=Buf"]) == 2
    assert "metric accesses-0: not counted with mapspace.uneven" in capsys.readouterr().err
