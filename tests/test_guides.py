"""What the guides in docs/ show works: the plug-in as it stands there, its commands, its tests."""

import json
import os
import re
import subprocess
import sys
import tomllib

import doc_commands
import pytest
from doc_commands import GUIDES, ROOT

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs"


def blocks(guide, language):
    return [text for _, tag, text in doc_commands.blocks(DOCS / f"{guide}.md") if tag == language]


def module_of(guide):
    text = (DOCS / f"{guide}.md").read_text()
    return re.search(r"^`(\w+)\.py`, complete:$", text, re.MULTILINE)[1]


@pytest.fixture
def site(request, tmp_path):
    """A folder that holds the guide's plug-in as an installed distribution."""
    guide = request.param
    code, _ = blocks(guide, "python")
    (tmp_path / f"{module_of(guide)}.py").write_text(code)
    (pyproject,) = blocks(guide, "toml")
    info = tmp_path / "own_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-plugin\nVersion: 1.0\n")
    lines = []
    for group, points in tomllib.loads(pyproject)["project"]["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def python(site, *words):
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        cwd=site,
        env={**os.environ, "PYTHONPATH": str(site)},
        check=False,
    )


def each(*guides):
    return pytest.mark.parametrize(("site", "guide"), [(g, g) for g in guides], indirect=["site"])


@each(*GUIDES)
def test_the_example_is_short_and_its_commands_work(site, guide):
    code, _ = blocks(guide, "python")
    assert len(code.splitlines()) < 60
    shown = [c for c in doc_commands.commands(DOCS / f"{guide}.md") if c.language == ""]
    assert shown
    for command in shown:
        done = python(site, "-m", "dse", *command.words)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert "skipped" not in done.stderr


@each(*GUIDES)
def test_the_example_passes_its_conformance_test(site, guide):
    _, tests = blocks(guide, "python")
    (site / "test_own.py").write_text(tests)
    done = python(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_own.py")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)


LAYER = "layer=dosa_bert/attention_values"
MAP = ("-m", "dse", "map", "arch=gemmini", LAYER, "samples=50", "--json")
RUN = ("-m", "dse", "run", "--quiet", "workload=dosa_bert", "samples=50")


@each("own-objective")
def test_exact_searches_refuse_a_function_and_prove_what_has_a_name(site, guide):
    for name in ("pipeline", "soft_edp"):
        for optimizer in ("optimal", "dosa"):
            refused = python(site, *RUN, f"objective={name}", f"optimizer={optimizer}")
            assert refused.returncode == 2
            assert f"objective = {name}" in refused.stderr
            assert "expected one of edp" in refused.stderr
    proven = python(site, *MAP, "mapper=optimal", "objective=pipeline")
    certificate = json.loads(proven.stdout)["certificate"]
    assert certificate["optimal"]
    open_ = python(site, *MAP, "mapper=optimal", "objective=soft_edp")
    certificate = json.loads(open_.stdout)["certificate"]
    assert certificate["bound"] is None
    assert not certificate["optimal"]


@each("own-objective")
def test_an_objective_has_a_mean_over_networks(site, guide):
    done = python(site, *RUN, "objective=pipeline", "workload=dosa_bert+alexnet", "n_jobs=1")
    assert done.returncode == 0, done.stderr
    assert "pipeline" in done.stdout
    assert "geometric mean of 2 networks" in done.stdout


@each("own-evaluator")
def test_nothing_is_proven_for_another_model(site, guide):
    for words in ((*RUN, "optimizer=optimal"), (*MAP, "mapper=optimal")):
        refused = python(site, *words, "evaluator=roofline")
        assert refused.returncode == 2
        assert f"{words[-1]}: its proof is for Timeloop's model" in refused.stderr
        assert "Roofline does not say so" in refused.stderr
