"""Keys that Timeloop does not read are ignored as it ignores them, and named."""

import pytest

from dse.errors import SpecError
from dse.timeloop.convert import read_project, written
from dse.timeloop.evaluate import evaluate_text
from dse.timeloop.read.inputs import read_files

PROJECT = """\
architecture:
  version: 0.3
  subtree:
  - name: system
    local:
    - {name: DRAM, class: DRAM, attributes: {word-bits: 8}}
    subtree:
    - name: PE[0..3]
      local:
      - {name: Buf, class: SRAM, attributes: {entries: 64, word-bits: 8}}
      - {name: MAC, class: intmac, attributes: {word-bits: 8}}
problem:
  shape:
    name: conv1d
    dimensions: [R, P]
    data-spaces:
    - {name: W, projection: [[[R]]]}
    - {name: I, projection: [[[R], [P]]]}
    - {name: O, projection: [[[P]]], read-write: True}
  instance: {R: 3, P: 16}
mapping:
- {target: DRAM, type: spatial, factors: R=1 P=4, permutation: RP}
- {target: Buf, type: temporal, factors: R=3 P=4, permutation: RP}
"""


def with_buffer(attributes):
    return PROJECT.replace("entries: 64, word-bits: 8", attributes)


@pytest.mark.parametrize("version", ["4cf6d4c", "3.0.3"])
@pytest.mark.parametrize("key", ["shared", "read", "write"])
def test_bandwidths_have_no_hyphens(version, key, caplog):
    plain = evaluate_text(PROJECT, version).stats
    slow = with_buffer(f"entries: 64, word-bits: 8, {key}_bandwidth: 0.1")
    assert evaluate_text(slow, version).stats.cycles > plain.cycles
    assert not caplog.records
    ignored = with_buffer(f"entries: 64, word-bits: 8, {key}-bandwidth: 0.1")
    assert evaluate_text(ignored, version).stats.cycles == plain.cycles
    place = f"input:10: architecture.subtree[0].subtree[0].local[0].attributes.{key}-bandwidth"
    reason = f"is ignored, as Timeloop {version} does not read it; it reads '{key}_bandwidth'"
    assert [r.getMessage() for r in caplog.records] == [f"{place}: {reason}"]


def test_what_3_0_3_reads_with_hyphens_only(caplog):
    """Values of the two binaries: to the older one a word has 16 bits, and a cluster one."""
    text = with_buffer("entries: 64, word_bits: 8, cluster_size: 4")
    newer = evaluate_text(text, "4cf6d4c").stats
    assert newer.energy_pj_per_compute * 1000 == pytest.approx(90378.48, abs=0.005)
    assert not caplog.records
    older = evaluate_text(text, "3.0.3").stats
    assert older.energy_pj_per_compute * 1000 == pytest.approx(94166.77, abs=0.005)
    assert [r.getMessage().partition("attributes.")[2][:24] for r in caplog.records] == [
        "word_bits: is ignored, a",
        "cluster_size: is ignored",
    ]


def test_the_word_that_4cf6d4c_takes_apart(caplog):
    evaluate_text(with_buffer("entries: 64, word-bits: 8, network-word-bits: 4"), "4cf6d4c")
    assert "network-word-bits: is ignored" in caplog.text
    caplog.clear()
    evaluate_text(with_buffer("entries: 64, word-bits: 8, network-word-bits: 4"), "3.0.3")
    assert not caplog.records
    evaluate_text(with_buffer("entries: 64, word-bits: 8, energy_per_ingress: 4"), "4cf6d4c")
    assert "it reads 'energy-per-ingress'" in caplog.text
    caplog.clear()
    both = "entries: 64, word-bits: 8, network-word-bits: 4, network_word_bits: %d"
    evaluate_text(with_buffer(both % 4), "4cf6d4c")
    assert not caplog.records
    evaluate_text(with_buffer(both % 5), "4cf6d4c")
    assert "network-word-bits: is ignored" in caplog.text


def test_of_a_key_given_twice_the_first_counts(caplog):
    text = PROJECT.replace("{R: 3, P: 16}", "{R: 3, P: 16, R: 4}")
    assert evaluate_text(text).input.problem.bounds == {"R": 3, "P": 16}
    assert "input:20: key 'R' is given twice, the first time in line 20" in caplog.text


def test_large_buffers_are_written_as_they_can_be_read(tmp_path):
    (tmp_path / "in.yaml").write_text(with_buffer("sizeKB: 2147483648, word-bits: 8"))
    project = read_project([tmp_path / "in.yaml"])
    assert project.architecture.levels[0].size_words == 2147483648 * 1024
    for form in ("v0.3", "v0.4"):
        folder = tmp_path / form
        folder.mkdir()
        for name, text in written(project, form).items():
            (folder / name).write_text(text)
        again = read_files(sorted(folder.iterdir()))
        assert again.architecture.levels == project.architecture.levels


def test_a_value_that_no_template_uses_is_refused(tmp_path):
    path = tmp_path / "top.yaml"
    path.write_text(PROJECT.replace("entries: 64", "entries: {{pes * 64}}"))
    assert read_files([path], values={"pes": 2}).architecture.levels[0].size_words == 128
    with pytest.raises(SpecError, match="-D pse: no template uses it.*did you mean 'pes'"):
        read_files([path], values={"pes": 2, "pse": 3})
    path.write_text(PROJECT)
    with pytest.raises(SpecError, match="-D pes: no template uses it"):
        read_files([path], values={"pes": 2})
