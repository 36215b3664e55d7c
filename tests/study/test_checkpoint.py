"""Checkpoints: damaged, old, foreign or planted ones are refused, with nothing lost or run."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import yaml

import dse
from dse.cli import main
from dse.components.chain import energy_chain
from dse.errors import SpecError
from dse.optimizers.nsga2 import Nsga2, Nsga2Settings
from dse.optimizers.random import RandomSearch, RandomSearchSettings
from dse.runner.run import resume, start
from dse.space import catalog
from dse.space.search_space import SearchSpace
from dse.state.codec import dumps, loads
from dse.study import checkpoint
from dse.study.checkpoint import StudyState
from dse.study.inputs import Inputs

SMALL = {"workload": "dosa_bert", "optimizer": "random", "samples": 12, "seed": 1}
NONE = Inputs({})


class Stopped(Exception):
    pass


def stop(_):
    raise Stopped


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A run that was stopped after its first batch."""
    folder = tmp_path_factory.mktemp("runs") / "half"
    optimizer = {"name": "random", "mappings_per_hardware": 1}
    with pytest.raises(Stopped):
        start({**SMALL, "optimizer": optimizer, "folder": str(folder)}).execute(stop)
    return folder


@pytest.fixture
def folder(half, tmp_path):
    return shutil.copytree(half, tmp_path / "run")


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(folder, message):
    """Check that the folder is refused in one line, and is as it was afterwards."""
    before = contents(folder)
    with pytest.raises(SpecError, match=message) as caught:
        resume(folder).execute()
    assert "\n" not in str(caught.value)
    assert contents(folder) == before


def space():
    return SearchSpace(
        catalog.template("gemmini"), catalog.workload("dosa_bert"), energy_chain("dosa")
    )


def fresh(seed=0):
    settings = RandomSearchSettings(mappings_per_hardware=1)
    return RandomSearch(space(), settings, np.random.default_rng(seed), 12)


def sealed(content):
    """Return the bytes of a checkpoint whose checksum is right, whatever it says."""
    body = content if isinstance(content, bytes) else dumps(content)
    digest = hashlib.sha256(body).hexdigest()
    return f"dse-checkpoint {checkpoint.VERSION} sha256 {digest}\n".encode() + body


def opened(folder):
    """Return what a checkpoint says."""
    return loads((folder / "checkpoint").read_bytes().partition(b"\n")[2])


# damage


def test_every_flipped_bit_is_noticed(half, tmp_path):
    data = (half / "checkpoint").read_bytes()
    inputs = Inputs.parse(opened(half)["inputs"])
    path = tmp_path / "checkpoint"
    path.write_bytes(data)
    assert checkpoint.load(path, fresh(), inputs).asked == 8
    head = 8 * (data.index(b"\n") + 2)
    places = [*range(head), *range(head, 8 * len(data), 8 * len(data) // 500)]
    optimizer = fresh()
    for place in places:
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(SpecError, match="checkpoint: .*(damaged|version)"):
            checkpoint.load(path, optimizer, inputs)


def test_a_cut_checkpoint_is_refused(folder):
    data = (folder / "checkpoint").read_bytes()
    for length in (0, 1, 50, 100, len(data) // 2, len(data) - 1):
        (folder / "checkpoint").write_bytes(data[:length])
        refused(folder, "checkpoint: .*damaged")


def test_damage_is_exit_code_2_and_one_line(folder, capsys):
    (folder / "checkpoint").write_bytes(b"garbage")
    assert main(["run", f"resume={folder}", "-q"]) == 2
    assert capsys.readouterr().err == f"error: {folder}/checkpoint: not a checkpoint, or damaged\n"


def test_a_damaged_journal_is_refused(folder):
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"valid":true', b'"valid":trux', 1))
    refused(folder, r"journal.jsonl, line \d+: damaged")


# old and foreign ones

#: ``os.system("touch RAN")`` for an unpickler, and how version 0.1.0 began.
CODE = b"cos\nsystem\n(S'touch RAN'\ntR."
PICKLED = b"\x80\x05\x95\x00\x00\x00\x00\x00\x00\x00\x00" + CODE


@pytest.mark.parametrize("content", [CODE, PICKLED, b"\x80\x04" + CODE])
def test_pickled_checkpoints_are_not_unpickled(folder, content, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (folder / "checkpoint").write_bytes(content)
    refused(folder, "checkpoint: .*(start the run again, or go on with version 0.1.0|damaged)")
    (folder / "checkpoint").write_bytes(sealed(b"{}\n" + content))
    refused(folder, "checkpoint: not a state")
    assert not (tmp_path / "RAN").exists()


def test_nothing_in_the_code_base_pickles():
    import ast
    from pathlib import Path

    root = Path(dse.__file__).parent.parent
    for path in (*root.glob("dse/**/*.py"), *root.glob("optimizers/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert not {"pickle", "cPickle", "dill", "marshal", "shelve"} & set(names), path


def test_another_version_is_named(folder):
    data = (folder / "checkpoint").read_bytes()
    (folder / "checkpoint").write_bytes(data.replace(b"dse-checkpoint 4 ", b"dse-checkpoint 5 "))
    refused(folder, "checkpoint version 5, expected 4")


def test_another_optimizer_is_named(folder):
    content = opened(folder)
    content["optimizer"]["type"] = "os.system"
    (folder / "checkpoint").write_bytes(sealed(content))
    refused(folder, "holds another optimizer than the run's config.yaml: os.system")


def changes():
    """Yield every way to change one entry of a state: gone, of another type, unknown."""

    def places(content, path=()):
        for key, value in content.items():
            yield (*path, key)
            if isinstance(value, dict):
                yield from places(value, (*path, key))

    settings = Nsga2Settings()
    made = Nsga2(space(), settings, np.random.default_rng(0), 12)
    content = {
        "inputs": NONE.text,
        "study": checkpoint._of_study(StudyState(made)),
        "optimizer": checkpoint.optimizer_state(made),
    }
    for path in places(content):
        for change in ("gone", "other", "more"):
            yield path, change


@pytest.mark.parametrize(("path", "change"), list(changes()))
def test_a_crafted_state_is_refused(path, change, tmp_path):
    made = Nsga2(space(), Nsga2Settings(), np.random.default_rng(0), 12)
    file = tmp_path / "checkpoint"
    checkpoint.save(file, StudyState(made), NONE)
    content = opened(tmp_path)
    place = content
    for key in path[:-1]:
        place = place[key]
    if change == "gone":
        del place[path[-1]]
    elif change == "other":
        place[path[-1]] = 3 if isinstance(place[path[-1]], str) else "x"
        if path == ("study", "last_reason"):
            place[path[-1]] = [3]
    else:
        place["more"] = 1
    file.write_bytes(sealed(content))
    with pytest.raises(SpecError, match="checkpoint: "):
        checkpoint.load(file, Nsga2(space(), Nsga2Settings(), np.random.default_rng(0), 12), NONE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda best: best.values.update(pe_dim=1), "variable pe_dim = 1"),
        (lambda best: best.values.update(pe_dim=2**70), "variable pe_dim"),
        (lambda best: best.values.pop("pe_dim"), "values of all variables"),
        (lambda best: best.values.update(more=1), "unknown variable 'more'"),
        (lambda best: object.__setattr__(best, "mappings", best.mappings[:2]), "of 5 layers"),
        (
            lambda best: object.__setattr__(
                best, "mappings", (type(best.mappings[0]).trivial(4, 3, 3), *best.mappings[1:])
            ),
            "levels, dimensions and tensors for layer 'query'",
        ),
    ],
)
def test_designs_of_other_spaces_are_refused(folder, change, message):
    content = opened(folder)
    change(content["study"]["best"])
    (folder / "checkpoint").write_bytes(sealed(content))
    refused(folder, message)


def test_a_front_is_refused_where_there_is_one_objective(folder):
    content = opened(folder)
    study = content["study"]
    study["front"] = [{"design": study["best"], "metrics": study["best_metrics"]}]
    (folder / "checkpoint").write_bytes(sealed(content))
    refused(folder, "study.front")


# planted files


@pytest.mark.parametrize(
    "name", ["checkpoint.partial", "journal.jsonl", "result.json", "result.json.partial"]
)
def test_a_planted_link_is_never_followed(folder, name, tmp_path):
    target = tmp_path / "precious"
    target.write_bytes(b"mine")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(target)
    if name == "journal.jsonl":
        refused(folder, "journal.jsonl: is a link")
    else:
        assert resume(folder).execute().samples == 12
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["best", "best/arch.yaml", "best/query.mapping.yaml.partial"])
def test_planted_results_are_never_followed(folder, name, tmp_path):
    (tmp_path / "precious").mkdir()
    target = tmp_path / "precious" / "arch.yaml"
    target.write_bytes(b"mine")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(target.parent if name == "best" else target)
    if name == "best":
        with pytest.raises(SpecError, match="best: is a link, expected a folder"):
            resume(folder).execute()
    else:
        assert resume(folder).execute().samples == 12
    assert target.read_bytes() == b"mine"
    assert [p.name for p in target.parent.iterdir()] == ["arch.yaml"]


def test_checkpoints_that_are_no_files_are_refused(folder):
    import os

    (folder / "checkpoint").unlink()
    os.mkfifo(folder / "checkpoint")
    with pytest.raises(SpecError, match="not a regular file"):
        resume(folder)
    (folder / "checkpoint").unlink()
    (folder / "checkpoint").symlink_to("/dev/zero")
    with pytest.raises(SpecError, match="not a regular file"):
        resume(folder)
    (folder / "checkpoint").unlink()
    (folder / "checkpoint").symlink_to(folder / "gone")
    with pytest.raises(SpecError, match="cannot be read"):
        resume(folder)


# edited inputs


def edit(path, change):
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        (
            "workload.yaml",
            lambda c: c["layers"][0].update(K=8192),
            r"workload.yaml: layers\[0\].K: \d+ -> 8192",
        ),
        (
            "workload.yaml",
            lambda c: c["layers"].pop(),
            r"layers\[4\].name: 'feed_forward_down' -> .nothing.",
        ),
        (
            "workload.yaml",
            lambda c: c["layers"][0].update(name="a"),
            r"workload.yaml: layers\[0\].name: 'query' -> 'a'",
        ),
        ("workload.yaml", lambda c: c.update(name="b"), "workload.yaml: name: 'dosa_bert' -> 'b'"),
        ("config.yaml", lambda c: c.update(seed=2), "config.yaml: seed: 1 -> 2"),
        ("config.yaml", lambda c: c.update(objective="energy"), "objective: 'edp' -> 'energy'"),
        ("config.yaml", lambda c: c.update(samples=13), "config.yaml: samples: 12 -> 13"),
        ("config.yaml", lambda c: c.update(arch="eyeriss"), "arch: 'gemmini' -> 'eyeriss'"),
        (
            "config.yaml",
            lambda c: c["optimizer"].update(mappings_per_hardware=2),
            "optimizer.mappings_per_hardware: 1 -> 2",
        ),
        (
            "config.yaml",
            lambda c: c.update(variables={"pe_dim": 4}),
            "variables.pe_dim: .nothing. -> 4",
        ),
        ("config.yaml", lambda c: c.update(timeloop_version="3.0.3"), "'4cf6d4c' -> '3.0.3'"),
        (
            "template.yaml",
            lambda c: c["variables"]["pe_dim"].update(max=64),
            "template.yaml: variables.pe_dim.max: 128 -> 64",
        ),
        (
            "template.yaml",
            lambda c: c.update(variables=dict(reversed(c["variables"].items()))),
            "template.yaml: the order of its keys",
        ),
    ],
)
def test_edited_inputs_are_refused_with_what_changed(folder, name, change, told):
    edit(folder / name, change)
    refused(folder, f"checkpoint: the run was started with other inputs: .*{told}.*put them back")


def test_many_changes_are_told_in_one_line(folder):
    edit(folder / "workload.yaml", lambda c: [x.update(count=9) for x in c["layers"]])
    edit(folder / "config.yaml", lambda c: c.update(seed=5, objective="area", energy="pat"))
    refused(folder, "seed: 1 -> 5; .*; and 2 more; put them back")


def test_what_changes_no_result_may_change(folder, tmp_path):
    edit(folder / "config.yaml", lambda c: c.update(n_jobs=3, runs="elsewhere", folder="there"))
    workload = folder / "workload.yaml"
    workload.write_text("# a comment\n" + workload.read_text())
    moved = folder.rename(tmp_path / "moved")
    assert resume(moved).execute().samples == 12


def test_other_versions_are_refused_until_the_run_is_finished(folder):
    content = opened(folder)
    inputs = json.loads(content["inputs"])
    inputs["versions"]["numpy"] = "1.0"
    content["inputs"] = json.dumps(inputs)
    (folder / "checkpoint").write_bytes(sealed(content))
    refused(folder, "versions: numpy: '1.0' -> ")
    content["study"]["finished"] = True
    (folder / "checkpoint").write_bytes(sealed(content))
    assert resume(folder).execute().samples == 8


def test_prices_in_files_are_inputs(tmp_path):
    first = dse.run(**SMALL, folder=tmp_path / "first")
    table = tmp_path / "prices.yaml"
    parts = [(first.folder / "best" / f"{x}.yaml").read_text() for x in ("ERT", "ART")]
    table.write_text("".join(parts))
    values = first.design.values
    given = {**SMALL, "energy": f"ert:{table}", "variables": values, "folder": str(tmp_path / "r")}
    with pytest.raises(Stopped):
        start(given).execute(stop)
    table.write_text(table.read_text() + "# later\n")
    refused(tmp_path / "r", f"tables: {table}: '[0-9a-f]*' -> '[0-9a-f]*'")


def test_the_journal_says_which_study_it_is_of(half, tmp_path):
    first, *others = map(json.loads, (half / "journal.jsonl").read_text().splitlines())
    assert list(first)[-2:] == ["inputs", "crc"]
    assert not any("inputs" in record for record in others)
    again = {**SMALL, "optimizer": {"name": "random", "mappings_per_hardware": 1}}
    result = dse.run(**again, n_jobs=2, folder=tmp_path / "again")
    assert json.loads((result.folder / "journal.jsonl").read_text().splitlines()[0]) == first
    other = dse.run(**{**again, "objective": "energy"}, folder=tmp_path / "other")
    line = json.loads((other.folder / "journal.jsonl").read_text().splitlines()[0])
    assert line["inputs"] != first["inputs"]
