"""Runs from before layers were renamed: they go on, compare with new ones, and keep their names."""

import json

import pytest
import yaml

import dse
from dse.cli import main
from dse.explain.run import explained_run
from dse.files import TextSource, read_yaml
from dse.runner.run import resume, start
from dse.space import catalog

GIVEN = {"arch": "gemmini", "workload": "dosa_bert", "optimizer": "random", "samples": 20}
OLD = ["mm_0", "mm_1", "mm_2", "mm_4", "mm_5"]


class Stopped(Exception):
    pass


def stop(_):
    raise Stopped


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the run ``old``, stopped and gone on with, and ``new`` with the new names."""
    folder = tmp_path_factory.mktemp("runs")
    content = read_yaml(catalog.find("workload", "dosa_bert"))
    for layer in content["layers"]:
        (layer["name"],) = layer.pop("aliases")
    with pytest.MonkeyPatch.context() as patch:
        file = TextSource("dosa_bert.yaml", yaml.safe_dump(content, sort_keys=False))
        patch.setattr(catalog, "_network", lambda *_: file)
        with pytest.raises(Stopped):
            start({**GIVEN, "folder": str(folder / "old")}).execute(stop)
    resume(folder / "old").execute()
    dse.run(**GIVEN, folder=str(folder / "new"))
    return folder


def test_an_old_run_goes_on_with_its_names_to_the_same_result(runs):
    old, new = (json.loads((runs / x / "result.json").read_text()) for x in ("old", "new"))
    assert [x.pop("name") for x in old["best"]["layers"]] == OLD
    named = [x.pop("name") for x in new["best"]["layers"]]
    assert named == [x.name for x in catalog.workload("dosa_bert")]
    assert old == new
    files = [sorted(p.name for p in (runs / x / "best").iterdir()) for x in ("old", "new")]
    assert "mm_2.mapping.yaml" in files[0]
    assert "attention_values.mapping.yaml" in files[1]


def test_it_is_the_same_search_as_a_new_one(runs, capsys):
    assert main(["compare", str(runs / "old"), str(runs / "new"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["warnings"] == ["runs have the same seed, so they count more than once"]
    ((search,),) = [table["searches"] for table in told["tables"]]
    assert search["runs"] == 2


def test_both_are_explained_by_the_old_names(runs):
    old, new = (explained_run(runs / x) for x in ("old", "new"))
    for name in OLD:
        assert old.layer(name).name == name
        assert old.layer(name).stats == new.layer(name).stats


def test_map_takes_an_alias_and_tells_the_name(tmp_path, capsys):
    words = ["map", "arch=gemmini", "layer=dosa_bert/mm_2", "samples=5", "--json"]
    assert main([*words, f"folder={tmp_path / 'map'}"]) == 0
    assert json.loads(capsys.readouterr().out)["layer"] == "attention_values"
