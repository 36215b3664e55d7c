"""Runs one command in a fork, with limits, in a folder that is watched; says what is wrong with it.

The fork starts from a process that has loaded and warmed ``dse``: thousands of inputs take
minutes. What a fork would write outside its folder, or start, an audit hook sees; a tree of
sentinels beside the folder and a canary, which every payload writes, see what gets past it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import re
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: What README documents; 129 and 143 are for signals, which no input sends.
EXIT_CODES = (0, 1, 2, 3, 4, 130)
FILE_BYTES = 64 << 20
CANARY = "canary"
#: What certify answers, on stdout, to a proof that does not hold, or that it cannot decide on.
_VERDICTS = (("certify", 1), ("certify", 3))
_FRAME = re.compile(r'File "([^"]+)", line (\d+),? in (\w+)')
_STARTS = ("os.exec", "os.posix_spawn", "os.system", "subprocess.Popen")
_CHANGES = (
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.utime"),
)


@dataclass(frozen=True)
class Case:
    """A command with the files that it finds in its folder."""

    kind: str
    argv: list[str]
    files: dict[str, bytes]
    seed: str = ""

    @property
    def command(self) -> str:
        return self.argv[0] if self.argv else ""


@dataclass(frozen=True)
class Fault:
    """What is wrong with an answer; faults of one ``key`` are the same."""

    key: str
    text: str


@dataclass
class Answer:
    """How a command ended."""

    code: int | None
    seconds: float
    taken_mb: float  #: resident memory at its most, beyond what was held at the start
    out: str
    err: str
    faults: list[Fault] = field(default_factory=list)


def _held_bytes() -> tuple[int, int]:
    """Return what this process holds: addresses, resident memory."""
    words = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(words[0]) * resource.getpagesize(), int(words[1]) * resource.getpagesize()


class Sandbox:
    """A scratch folder: ``work`` for the command, beside it what must stay as it is."""

    def __init__(self, root: Path, seconds: float, memory_mb: int) -> None:
        self.root = root
        self.work = root / "work"
        self._seconds = seconds
        self._memory_mb = memory_mb
        for name in ("home", "tmp", "bin", "beside/deep"):
            (root / name).mkdir(parents=True)
        for name in ("beside/sentinel.yaml", "beside/deep/sentinel", "home/sentinel"):
            (root / name).write_text("stays\n", encoding="utf-8")
        self._before = self._outside()

    def run(self, case: Case) -> Answer:
        """Run a case, and clean up after it."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        for name, content in case.files.items():
            target = self.work / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        for name in ("out", "err", "audit", "held"):
            (self.root / name).write_bytes(b"")
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            self._child(case.argv)
        status, usage, hung = self._wait(child)
        out, err, audit = (
            (self.root / name).read_text(encoding="utf-8", errors="replace")
            for name in ("out", "err", "audit")
        )
        held = int((self.root / "held").read_text(encoding="ascii") or 0)
        answer = Answer(
            code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            seconds=time.monotonic() - start,
            taken_mb=usage.ru_maxrss / 1024 - held / (1 << 20),
            out=out,
            err=err,
        )
        answer.faults = [
            *self._ending(case, answer, status, hung),
            *self._traces(case, audit, ended=not hung and os.WIFEXITED(status)),
        ]
        return answer

    def _child(self, argv: list[str]) -> None:
        """Be the command; never returns."""
        code = 1
        try:
            os.setsid()
            self._confine()
            from dse.cli import main

            code = main(argv)
        except SystemExit as end:  # of argparse, as the interpreter would answer it
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:
            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code & 0xFF)

    def _confine(self) -> None:
        addresses, held = _held_bytes()  # what is forked begins with what its parent holds
        (self.root / "held").write_text(str(held), encoding="ascii")
        space = addresses + (self._memory_mb << 20)
        for limit, most in (
            (resource.RLIMIT_AS, space),
            (resource.RLIMIT_CPU, int(self._seconds) + 1),
            (resource.RLIMIT_FSIZE, FILE_BYTES),
            (resource.RLIMIT_NOFILE, 256),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(limit, (most, most))
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(self.root / name, os.O_WRONLY | os.O_APPEND), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", "strict")
        sys.stderr = io.TextIOWrapper(
            io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace", line_buffering=True
        )
        faulthandler.enable(file=2)
        faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
        os.environ.update(
            HOME=str(self.root / "home"),
            TMPDIR=str(self.root / "tmp"),
            PATH=str(self.root / "bin"),
            DSE_KNOWN_OPTIMA=str(self.work / "known_optima.json"),
            MPLCONFIGDIR=str(self.work / "matplotlib"),
        )
        import tempfile

        tempfile.tempdir = None
        os.chdir(self.work)
        sys.addaudithook(self._hook(os.open(self.root / "audit", os.O_WRONLY | os.O_APPEND)))

    def _hook(self, log: int) -> Any:
        """Return an audit hook that notes programs started, and changes outside the folder."""
        own = (str(self.work), str(self.root / "tmp"))

        def outside(path: object) -> bool:
            if not isinstance(path, str | bytes | os.PathLike):
                return False
            full = os.path.realpath(os.fsdecode(path))
            return not full.startswith((*own, "/dev/", "/proc/")) and "__pycache__" not in full

        def note(event: str, what: object) -> None:
            os.write(log, f"{event} {str(what)[:300]!r}\n".encode("utf-8", "replace"))

        def hook(event: str, given: tuple[Any, ...]) -> None:
            if event in _STARTS:
                if os.fsdecode(given[0] or "") != sys.executable:  # dse's own helpers
                    note(event, given[:2])
            elif event == "open":
                written = given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
                if written and outside(given[0]):
                    note(event, given[0])
            elif event in _CHANGES:
                at_folder = isinstance(given[-1], int) and given[-1] >= 0 and "rm" in event
                if not at_folder and any(outside(path) for path in given[:2]):
                    note(event, given[:2])

        return hook

    def _wait(self, child: int) -> tuple[int, Any, bool]:
        """Wait for a child; end it, and all that it started, when its time is over."""
        descriptor = os.pidfd_open(child)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        # time on the clock is generous: the machine may be busy, the limit on CPU time is sharp
        hung = not poll.poll(4000 * self._seconds)
        if hung:
            signal.pidfd_send_signal(descriptor, signal.SIGUSR1)
            time.sleep(0.3)
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)
        _, status, usage = os.wait4(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        hung = hung or (
            os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
        )
        return status, usage, hung

    def _ending(self, case: Case, answer: Answer, status: int, hung: bool) -> list[Fault]:
        """Return what is wrong with how a command ended and with what it said."""
        where = place(answer.err) or f"{case.command}, {case.kind}"
        last = answer.err.strip().rsplit("\n", 1)[-1][:200]
        if hung:
            return [Fault(f"hang at {where}", f"more than {self._seconds:g} s")]
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            return [Fault(f"death by {name} at {where}", last)]
        found = []
        if "Traceback (most recent call last)" in answer.err:
            name = last.partition(":")[0].rsplit(".", 1)[-1]
            found.append(Fault(f"traceback {name} at {where}", last))
        elif answer.code not in EXIT_CODES:
            found.append(Fault(f"exit code {answer.code} of {case.command}", last))
        elif (
            answer.code and not answer.err.strip() and (case.command, answer.code) not in _VERDICTS
        ):
            found.append(Fault(f"no error text: {case.command}, code {answer.code}", ""))
        if answer.taken_mb > self._memory_mb:  # the limit on addresses leaves what numba reserves
            found.append(Fault(f"memory: {case.command}, {case.kind}", f"{answer.taken_mb:.0f} MB"))
        # help is text, whatever stands beside it
        asked = "--json" in case.argv and not {"-h", "--help", "help"} & set(case.argv)
        if answer.code == 0 and asked and not _is_json(answer.out):
            found.append(Fault(f"no JSON on stdout: {case.command}", answer.out[:200]))
        return found

    def _traces(self, case: Case, audit: str, *, ended: bool) -> list[Fault]:
        """Return what a command did beyond its folder; put that in order again."""
        found = []
        if (self.root / CANARY).exists():
            found.append(Fault(f"execution: {case.command}, {case.kind}", "the canary was written"))
            (self.root / CANARY).unlink()
        for line in sorted(set(audit.splitlines())):
            event = line.partition(" ")[0]
            did = "execution" if event in _STARTS else "file outside"
            found.append(Fault(f"{did}: {event} by {case.command}, {case.kind}", line))
        after = self._outside()
        for name in sorted(set(after) ^ set(self._before)) + [
            n for n in after if n in self._before and after[n] != self._before[n]
        ]:
            found.append(Fault(f"file outside: {case.command}, {case.kind}", name))
            (self.root / name).unlink(missing_ok=True)
            if name in self._before:
                (self.root / name).write_text("stays\n", encoding="utf-8")
        left = sorted(p.name for p in (self.root / "tmp").iterdir())
        if left:
            if ended:
                kinds = re.sub(r"[-_]\w+$", "", left[0])
                found.append(Fault(f"left in TMPDIR: {kinds} by {case.command}", ", ".join(left)))
            shutil.rmtree(self.root / "tmp")
            (self.root / "tmp").mkdir()
        for path in self.work.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.stat().st_size >= FILE_BYTES:
                found.append(Fault(f"file of {FILE_BYTES >> 20} MB: {case.command}", path.name))
        return found

    def _outside(self) -> dict[str, str]:
        folders = (self.root / "beside", self.root / "home")
        return {
            str(p.relative_to(self.root)): p.read_text(encoding="utf-8", errors="replace")
            for folder in folders
            for p in folder.rglob("*")
            if p.is_file()
        }


def place(err: str) -> str:
    """Return the innermost line of ``dse`` in the last traceback of a text."""
    dump = "Current thread" in err or "Fatal Python error" in err  # innermost frame first
    part = err.rsplit("Current thread" if dump else "Traceback (most recent call last)", 1)[-1]
    frames = [
        (re.split(r"/(?=(?:dse|optimizers)/)", file)[-1], line, function)
        for file, line, function in _FRAME.findall(part)
        if "site-packages" not in file and re.search(r"/(dse|optimizers)/", file)
    ]
    if not frames:
        return ""
    file, line, function = frames[0] if dump else frames[-1]
    return f"{file}:{line} {function}"


def _is_json(text: str) -> bool:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text.strip() or "x", parse_constant=refuse)
    except ValueError:
        return False
    return True
