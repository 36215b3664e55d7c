"""What ``model`` prints of a sparse design: what happens, what is gated, what is skipped."""

import pytest
import timeloop_files

from dse.cli import main
from dse.timeloop.evaluate import evaluate_files
from dse.timeloop.write.report import summary_text

_CP = "{format: CP, flattened_rankIDs: [[R, P]]}"
INNER, OUTER = (
    f"representation_format: {{data_spaces: [{{name: I, ranks: [{ranks}]}}]}}"
    for ranks in (_CP, f"{{format: UOP}}, {_CP}")
)
SPARSE = f"""
sparse_optimizations:
  targets:
  - {{name: DRAM, {OUTER}}}
  - {{name: GlobalBuffer, {OUTER}}}
  - name: Buffer
    {INNER}
    action_optimization:
    - {{type: %s, options: [{{target: W, condition_on: [I]}}]}}
"""


@pytest.fixture
def files(tmp_path):
    """Return a function that writes a design whose accesses are saved in a way."""

    def write(how):
        density = "{distribution: hypergeometric, density: 0.3}"
        problem = timeloop_files.PROBLEM % 16
        assert problem.rstrip().endswith("}")
        problem = problem.rstrip()[:-1] + f", densities: {{I: {density}}}}}\n"
        texts = {
            "arch": timeloop_files.CHIP,
            "problem": problem,
            "mapping": timeloop_files.CHIP_MAPPING,
            "sparse": SPARSE % how,
        }
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return [str(tmp_path / f"{name}.yaml") for name in texts]

    return write


@pytest.mark.parametrize("how", ["gating", "skipping"])
def test_accesses_are_told_by_what_becomes_of_them(files, how, capsys):
    evaluation = evaluate_files(files(how))
    stats = evaluation.stats
    own = stats.levels["Buffer"].tensors["W"]
    saved = own.gated_reads if how == "gating" else own.skipped_reads
    assert saved == own.reads - own.random_reads > 0
    text = summary_text(evaluation)
    columns = (own.random_reads, own.gated_reads, own.skipped_reads)
    (row,) = (x for x in text.splitlines() if x.split()[:2] == ["Buffer", "W"] and "none" in x)
    assert row.split()[2:] == ["none", "1", "reads", *map(str, columns)]
    (row,) = (x for x in text.splitlines() if x.split()[:2] == ["Buffer", "I"] and "reads" in x)
    assert row.split()[2] == "cp"
    made = stats.sparse_computes
    told = f"{made.random:,} happen, {made.gated:,} are gated, {made.skipped:,} skipped"
    assert f"computes     {stats.computes:,}, of which {told}" in text
    assert main(["model", *files(how)]) == 0
    assert capsys.readouterr().out == text


def test_a_dense_answer_says_nothing_of_it(files):
    *dense, _ = files("gating")
    text = summary_text(evaluate_files(dense))
    assert "gated" not in text
    assert "of which" not in text
