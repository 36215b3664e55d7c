"""False claims and tampered run folders: none is certified."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from certify_spaces import optimum

from dse.certify import known
from dse.certify.published import Claim
from dse.certify.run import certify
from dse.certify.verdict import Decision
from dse.cli import main
from dse.errors import DseError, SpecError
from dse.runner.run import space_of_run, start

pytestmark = pytest.mark.usefixtures("apart")

#: A template with two array variables: the arrays of a range of them have no largest.
TWO_ARRAYS: dict[str, Any] = {
    "name": "two_arrays",
    "energy": "dosa",
    "budget": {"pes": 64},
    "variables": {
        "rows": {"values": [2, 4, 8, 16, 32]},
        "cols": {"values": [2, 4, 8, 16, 32]},
        "scratchpad_kb": {"values": [16, 64, 128]},
        "accumulator_kb": {"values": [16, 64, 128]},
    },
    "storage": [
        {
            "name": "DRAM", "class": "DRAM", "word_bits": 8, "block_size": 64,
            "shared_bandwidth": 4000,
            "constraints": {
                "keep": ["Weights", "Inputs", "Outputs"], "spatial": {"dimensions": []},
            },
        },
        {
            "name": "Scratchpad", "class": "SRAM", "word_bits": 8,
            "size_words": "scratchpad_kb * 1024", "shared_bandwidth": 4000,
            "constraints": {
                "keep": ["Weights", "Inputs"], "bypass": ["Outputs"],
                "temporal": {"dimensions": []},
                "spatial": {"dimensions": ["K"], "x": ["K"], "y": []},
            },
        },
        {
            "name": "Accumulator", "class": "SRAM", "word_bits": 32,
            "size_words": "accumulator_kb * 256 // cols", "mesh_x": "cols",
            "shared_bandwidth": 2, "network_word_bits": 16, "ports": 2, "banks": 2,
            "constraints": {
                "keep": ["Outputs"], "bypass": ["Weights", "Inputs"],
                "temporal": {"permutation": ["P", "Q", "N", "C", "R", "S", "K"]},
                "spatial": {"dimensions": ["C"], "x": ["C"], "y": []},
            },
        },
        {
            "name": "Registers", "class": "regfile", "word_bits": 8, "size_words": 1,
            "mesh_x": "rows * cols",
            "constraints": {
                "keep": ["Weights"], "bypass": ["Inputs", "Outputs"],
                "temporal": {"dimensions": ["P"]}, "spatial": {"dimensions": []},
            },
        },
    ],
    "compute": {"name": "MACC", "class": "intmac", "word_bits": 8, "mesh_x": "rows * cols"},
}  # fmt: skip
TWO_LAYERS = {
    "name": "net", "shape": "cnn-layer",
    "layers": [
        {"name": "a", "P": 14, "Q": 14, "C": 60, "K": 6},
        {"name": "b", "P": 28, "Q": 28, "C": 45, "K": 2, "count": 2},
        {"name": "c", "R": 3, "S": 3, "P": 14, "Q": 14, "C": 24, "K": 4, "count": 2},
    ],
}  # fmt: skip
SMALL_LAYERS = {
    "name": "net", "shape": "cnn-layer",
    "layers": [{"name": "a", "P": 4, "C": 6, "K": 4}, {"name": "b", "R": 2, "C": 4, "count": 2}],
}  # fmt: skip
#: Of ``TWO_ARRAYS``, what brute force can go through.
SMALL = {
    **TWO_ARRAYS,
    "variables": {
        "rows": {"values": [2, 4]}, "cols": {"values": [2, 4]},
        "scratchpad_kb": {"values": [1, 2]}, "accumulator_kb": {"values": [1, 2]},
    },
}  # fmt: skip


def solved(folder: Path, template: Any, network: Any, **settings: Any) -> Path:
    """Return the folder of a run with optimizer=optimal."""
    folder.mkdir(parents=True)
    for name, content in (("arch", template), ("net", network)):
        (folder / f"{name}.yaml").write_text(
            yaml.safe_dump(content, sort_keys=False), encoding="utf-8"
        )
    given = {"optimizer": "optimal", **settings}
    files = {"arch": str(folder / "arch.yaml"), "workload": str(folder / "net.yaml")}
    start({**files, **given, "folder": str(folder / "run")}).execute()
    return folder / "run"


def result(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return content


def forge(folder: Path, **certificate: Any) -> None:
    content = result(folder)
    content["certificate"] |= certificate
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")


def test_a_false_optimum_over_two_array_variables_is_refuted(tmp_path: Path, capsys) -> None:
    optimizer = {"name": "optimal", "nodes": 1}
    run = solved(tmp_path / "a", TWO_ARRAYS, TWO_LAYERS, objective="energy", optimizer=optimizer)
    value = result(run)["certificate"]["value"]
    assert value == pytest.approx(11360479.13)
    forge(run, bound=value, status="optimal", gap=0)
    assert main(["certify", str(run), "-q"]) == 1
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("verdict   refuted: a design with rows=16, cols=4")
    assert "11333708.87" in said
    assert not known.user_file().exists()
    true = solved(tmp_path / "b", TWO_ARRAYS, TWO_LAYERS, objective="energy")
    assert result(true)["certificate"]["value"] == pytest.approx(11333708.879)
    assert main(["certify", str(true), "-q"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "verdict   certified"


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return solved(tmp_path_factory.mktemp("honest") / "run", SMALL, SMALL_LAYERS)


@pytest.fixture
def run(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "copy"))


def change(path: Path, edit: Callable[[Any], None]) -> None:
    """Edit a JSON or YAML file."""
    text = path.read_text(encoding="utf-8")
    content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    edit(content)
    dump = json.dumps if path.suffix == ".json" else yaml.safe_dump
    path.write_text(dump(content), encoding="utf-8")


def scaled(factor: float) -> Callable[[Any], None]:
    """Scale everything that a result says of its value, in keeping."""

    def edit(content: Any) -> None:
        for part, key in (
            ("certificate", "value"),
            ("certificate", "bound"),
            ("objective", "value"),
        ):
            content[part][key] *= factor
        content["best"]["energy_pj"] *= factor

    return edit


def prices(content: Any) -> None:
    for table in content["ERT"]["tables"]:
        for action in table["actions"]:
            action["energy"] *= 0.5


def directives(edit: Callable[[str, str, dict[str, Any]], None]) -> Callable[[Any], None]:
    def each(content: Any) -> None:
        for directive in content["mapping"]:
            edit(directive["target"], directive["type"], directive)

    return each


def _loops_at_scratchpad(target: str, kind: str, directive: dict[str, Any]) -> None:
    """Move the memory's loops to where the template allows none."""
    if kind == "temporal" and target in ("DRAM", "Scratchpad"):
        ones = " ".join(f"{d}=1" for d in "RSPQCKN")
        tile = {"DRAM": ones, "Scratchpad": "R=1 S=1 P=1 Q=1 C=3 K=1 N=1"}
        directive["factors"] = tile[target]
    if kind == "temporal" and target == "Accumulator":
        directive["factors"] = "R=1 S=1 P=4 Q=1 C=1 K=1 N=1"
    if kind == "temporal" and target == "Registers":
        directive["factors"] = " ".join(f"{d}=1" for d in "RSPQCKN")
    if kind == "spatial":
        dim = {"Accumulator": "C=2", "Scratchpad": "K=4"}.get(target)
        if dim:
            directive["factors"] = dim


def _inputs_in_accumulator(target: str, kind: str, directive: dict[str, Any]) -> None:
    if kind == "bypass" and target == "Accumulator":
        directive["keep"] = ["Outputs", "Inputs"]
        directive["bypass"] = ["Weights"]


def _outputs_in_scratchpad(target: str, kind: str, directive: dict[str, Any]) -> None:
    if kind == "bypass" and target == "Scratchpad":
        directive["keep"] = ["Outputs", "Inputs", "Weights"]
        directive["bypass"] = []


REFUTED: dict[str, tuple[str, Callable[[Any], None]]] = {
    "bound above the value": ("result.json", lambda c: c["certificate"].update(bound=1e30)),
    "value lowered": ("result.json", scaled(0.99)),
    "value raised": ("result.json", scaled(1.01)),
    "only the objective's value": (
        "result.json", lambda c: c["objective"].update(value=c["objective"]["value"] * 0.999),
    ),
    "gap of its own": ("result.json", lambda c: c["certificate"].update(gap=0.5)),
    "optimal with a gap": (
        "result.json", lambda c: c["certificate"].update(bound=c["certificate"]["bound"] * 0.9),
    ),
    "another objective": ("result.json", lambda c: c["certificate"].update(objective="energy")),
    "other hardware": ("result.json", lambda c: c["best"]["values"].update(rows=2, cols=2)),
    "hardware out of range": ("result.json", lambda c: c["best"]["values"].update(rows=64)),
    "a variable that is none": ("result.json", lambda c: c["best"]["values"].update(extra=1)),
    "another version's numbers": ("result.json", lambda c: c.update(timeloop_version="3.0.3")),
    "another chain's numbers": ("result.json", lambda c: c.update(energy="pat")),
    "cheaper prices": ("best/ERT.yaml", prices),
    "loops where none are allowed": ("best/a.mapping.yaml", directives(_loops_at_scratchpad)),
    "a tensor where it is bypassed": ("best/a.mapping.yaml", directives(_inputs_in_accumulator)),
    "one more copy": ("best/b.mapping.yaml", directives(_outputs_in_scratchpad)),
    "another layer": (
        "best/a.problem.yaml", lambda c: c["problem"]["instance"].update(Wstride=2),
    ),
    "objective of the run": ("config.yaml", lambda c: c.update(objective="energy")),
    "version of the run": ("config.yaml", lambda c: c.update(timeloop_version="dosa")),
    "chain of the run": ("config.yaml", lambda c: c.update(energy="pat")),
    "limit that the design breaks": (
        "config.yaml", lambda c: c.update(constraints="area_um2 < 1000"),
    ),
    "resource that the design breaks": (
        "config.yaml", lambda c: c.update(constraints="pes <= 2"),
    ),
    "fixed otherwise": ("config.yaml", lambda c: c.update(variables={"rows": 2, "cols": 2})),
    "more hardware": (
        "template.yaml", lambda c: c["variables"]["rows"].update(values=[2, 4, 6, 12]),
    ),
    "less bandwidth": ("template.yaml", lambda c: c["storage"][0].update(shared_bandwidth=0.1)),
    "a requirement": ("template.yaml", lambda c: c.update(require=["rows < 2"])),
    "a larger layer": ("workload.yaml", lambda c: c["layers"][0].update(P=8)),
    "counted more often": ("workload.yaml", lambda c: c["layers"][1].update(count=3)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUTED)
def test_tampered_folders_are_refuted(name: str, run: Path) -> None:
    path, edit = REFUTED[name]
    change(run / path, edit)
    found, entry = certify(run)
    assert found.outcome is Decision.REFUTED, found.as_dict()
    assert found.reason
    assert entry is None


def test_what_is_not_rechecked_is_not_decided(run: Path, capsys) -> None:
    assert main(["certify", str(run), "-q", "--no-bound"]) == 3
    assert "not to be rechecked" in capsys.readouterr().out
    assert not known.user_file().exists()


@pytest.mark.parametrize("limit", ["cycles < 9", "energy_uj <= 1e-9", "power_w < 1e-9"])
def test_a_design_that_misses_a_limit_is_refuted(limit: str, run: Path, capsys) -> None:
    change(run / "config.yaml", lambda c: c.update(constraints=limit))
    assert main(["certify", str(run), "-q"]) == 1
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(f"verdict   refuted: constraint {limit}")
    assert not known.user_file().exists()


@pytest.mark.parametrize(
    "value", ["null", "NaN", "Infinity", "-1", "true", '"1"', "[]", "1e999", "9" * 400]
)
@pytest.mark.parametrize("key", ["bound", "value"])
def test_what_is_no_number_is_named(key: str, value: str, run: Path) -> None:
    content = result(run)
    content["certificate"][key] = "HERE"
    text = json.dumps(content).replace('"HERE"', value)
    (run / "result.json").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=f"certificate.{key} = .*expected a"):
        certify(run)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"certificate": 1}', "[" * 100_000])
def test_what_is_no_result_is_named(text: str, run: Path) -> None:
    (run / "result.json").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=r"result.json"):
        certify(run)


def test_checkpoint_and_journal_play_no_part(run: Path) -> None:
    (run / "checkpoint").write_bytes(b"no checkpoint")
    (run / "journal.jsonl").write_text("no journal\n", encoding="utf-8")
    found, entry = certify(run)
    assert found.outcome is Decision.CERTIFIED
    assert entry is not None
    assert entry.value == result(run)["certificate"]["value"]


def test_a_claim_of_nothing_is_not_decided(run: Path, capsys) -> None:
    forge(run, status="unsolved", reason="too large")
    assert main(["certify", str(run), "-q"]) == 3
    assert "the run claims nothing ('unsolved'): too large" in capsys.readouterr().out


def test_weak_bounds_are_certified_and_never_kept(run: Path) -> None:
    value = result(run)["certificate"]["value"]
    for bound in (0.0, value * 0.5, value * (1.0 - 1e-9)):
        forge(run, status="stopped", bound=bound, gap=1.0 - bound / value)
        found, entry = certify(run)
        assert found.outcome is Decision.CERTIFIED
        assert entry is None


def _mutated(value: Any, rng: np.random.Generator) -> Any:
    """Change one number, text or entry somewhere in a file's content."""
    if isinstance(value, dict) and value:
        key = list(value)[int(rng.integers(len(value)))]
        if rng.random() < 0.05:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: _mutated(value[key], rng)}
    if isinstance(value, list) and value:
        n = int(rng.integers(len(value)))
        if rng.random() < 0.05:
            return value[:n] + value[n + 1 :]
        return [*value[:n], _mutated(value[n], rng), *value[n + 1 :]]
    if isinstance(value, bool) or value is None:
        return [True, False, None, 3, "x"][int(rng.integers(5))]
    if isinstance(value, (int, float)):
        factor = [0, -1, 0.5, 2, 1.0 + 1e-9, 0.999, 1e30][int(rng.integers(7))]
        number = value * factor
        return int(number) if isinstance(value, int) and abs(number) < 1e15 else number
    words = ["", "x", "energy", "delay", "pat", "3.0.3", "optimal", "stopped", "C=2 K=2"]
    return words[int(rng.integers(len(words)))]


FILES = (
    *("result.json", "result.json", "config.yaml", "template.yaml", "workload.yaml"),
    *("best/arch.yaml", "best/ERT.yaml", "best/a.mapping.yaml", "best/b.problem.yaml"),
)


@pytest.mark.parametrize("seed", range(240))
def test_whatever_is_changed_only_the_truth_is_certified(seed: int, run: Path) -> None:
    """Random edits: an error with a message, a refusal, or a claim that brute force confirms."""
    rng = np.random.default_rng(seed)
    for _ in range(int(rng.integers(1, 3))):
        path = run / FILES[int(rng.integers(len(FILES)))]
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        dump = json.dumps if path.suffix == ".json" else yaml.safe_dump
        path.write_text(dump(_mutated(content, rng)), encoding="utf-8")
    try:
        found, entry = certify(run)
    except DseError as error:
        assert str(error)
        return
    if found.outcome is Decision.CERTIFIED:
        claim = Claim.read(run)
        best = optimum(space_of_run(run))
        assert claim.bound <= best * (1.0 + 2e-11)
        assert claim.value >= best * (1.0 - 1e-12)
        assert entry is None or entry.value == pytest.approx(best, rel=1e-10)
    else:
        assert entry is None
