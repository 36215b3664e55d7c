"""The RTL itself in Verilator, where that is installed: cycles and outputs; what is missing."""

import os
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from gemmini_cases import TOOLS, needs_verilator
from rtl_jobs import MEMORIES, draws

from dse.cycles import values
from dse.cycles.hardware import Cache, Machine, Memory
from dse.cycles.model import cycles
from dse.errors import ToolError
from dse.tools import verilator


@needs_verilator
@pytest.mark.slow
@pytest.mark.parametrize("side", [4])
def test_cycles_and_outputs_are_the_models_and_numpys(side):
    """A program is built once for a side, and kept; more jobs: python -m tests.rtl_jobs."""
    drawn = [job for name in MEMORIES for _, job in draws(1, side, name, 10)]
    rng = np.random.default_rng(1)
    operands = [values.operands(job, rng) for job in drawn]
    modelled = [cycles(job).total for job in drawn]
    runs = verilator.simulate(drawn, operands, [2 * count + 10_000 for count in modelled])
    assert [run.cycles for run in runs] == modelled
    for job, given, run in zip(drawn, operands, runs, strict=True):
        np.testing.assert_array_equal(run.outputs, values.outputs(job, *given))
    # a limit that is too low is told, and the outputs are not those of the job
    (late,) = verilator.simulate(drawn[:1], operands[:1], [modelled[0] - 1])
    assert late.cycles is None
    # the cache is empty again when the next job begins, also after larger ones
    again = [drawn[-1], drawn[-1]]
    twice = verilator.simulate(again, [operands[-1]] * 2, [modelled[-1] + 1] * 2)
    assert [run.cycles for run in twice] == [modelled[-1]] * 2
    # an address that a job has no memory for ends the program, with a word
    astray = replace(drawn[0], registers=drawn[0].registers._replace(inputs_row=2**29))
    with pytest.raises(ToolError, match="an address lies beyond the memory"):
        verilator.simulate([astray], operands[:1], [10**6])


@needs_verilator
@pytest.mark.slow
@pytest.mark.parametrize(("side", "lines"), [(2, 0), (16, 2**16)])
def test_the_sources_are_clean(side, lines, tmp_path):
    names = [name for name in verilator.sources() if name.endswith(".sv")]
    for name in names:
        (tmp_path / name).write_bytes(verilator.sources()[name])
    command = [str(TOOLS.binary), "--lint-only", *verilator.LINT, f"-GDIM={side}"]
    command.append(f"-GMOST_CACHE_LINES={lines}")
    done = subprocess.run(
        [*command, "--top-module", verilator.TOP, *names],
        check=False,
        cwd=tmp_path,
        env={**os.environ, **({"VERILATOR_ROOT": str(TOOLS.root)} if TOOLS.root else {})},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DSE_CXX", raising=False)
    with pytest.raises(ToolError, match=r"g\+\+ is not on PATH.*apt install verilator"):
        verilator.find()
    monkeypatch.setenv("DSE_CXX", "no-such-compiler")
    with pytest.raises(ToolError, match="DSE_CXX names 'no-such-compiler'"):
        verilator.find()


@pytest.mark.skipif(os.name != "posix", reason="programs here are shell scripts")
def test_a_compiler_that_fails_is_an_error_with_its_words(monkeypatch, tmp_path):
    script = tmp_path / "tool"
    script.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho no good >&2\nexit 3\n')
    script.chmod(0o755)
    tools = verilator.Verilator(script, None, tmp_path, script)
    monkeypatch.setenv("DSE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ToolError, match="(?s)tool ended with exit status 3.*no good"):
        verilator.program(Machine(4, 1024, 1024), tools)
    assert not list((tmp_path / "cache" / "rtl").iterdir())


def test_a_program_serves_what_is_not_larger():
    small, same = Machine(8, 1024, 1024), Machine(8, 2**18, 2**15, Memory(in_flight=1))
    assert verilator.parameters(small) == verilator.parameters(same)
    assert verilator.parameters(Machine(8, 2**19, 1024)) != verilator.parameters(small)
    wide = Machine(8, 1024, 1024, Memory(bytes_per_cycle=32))
    assert verilator.parameters(wide)["BUS"] == 32
    cached = [
        verilator.parameters(Machine(8, 1024, 1024, Memory(cache=Cache(kilobytes))))
        for kilobytes in (1, 512)
    ]
    assert verilator.parameters(small) != cached[0] == cached[1]
