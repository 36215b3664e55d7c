"""Fuzzes every command with malformed input, and reports what is not handled.

    python -m tests.fuzz --minutes 10 [--seed N] [--inputs N] [--only KIND] [--skip KIND]
                          [--faults DIR]
    python -m tests.fuzz --replay DIR/CASE

Faults: a traceback, a hang, an exit code that is not documented, a death by signal, a code other
than 0 without a word, more memory than allowed, invalid JSON from --json, a file outside the
folder or left in TMPDIR, anything executed. Each is written to DIR once, by where it comes from.
The exit code is 1 where there is any.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import gc
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as in the tests: helpers by their name

from .corpus import ARCH, MAP, MAP_FILES, NET, OPTIMIZERS, RANDOM, RUN, Corpus
from .sandbox import Answer, Case, Fault, Sandbox


def _parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--minutes", type=float, default=10)
    result.add_argument("--inputs", type=int, metavar="N", help="stop after N inputs")
    result.add_argument("--seed", type=int, default=0)
    result.add_argument("--only", metavar="KIND", help="inputs of one kind")
    result.add_argument("--skip", metavar="KIND", help="inputs of all kinds but one")
    result.add_argument("--faults", type=Path, metavar="DIR", help="where to write cases")
    result.add_argument("--replay", type=Path, metavar="CASE", help="run one written case again")
    result.add_argument("--seconds", type=float, default=20, help="CPU time before a hang (20)")
    result.add_argument(
        "--memory", type=int, default=1000, metavar="MB", help="most that one may take (1000)"
    )
    result.add_argument(
        "--short",
        action="store_true",
        help="warm up random search only: what compiles first may pass for a hang",
    )
    return result


def _quietly(argv: list[str]) -> None:
    """Run a command in this process, which loads and compiles what the forks then have."""
    from dse.cli import main

    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        code = main(argv)
    if code not in (0, 3):
        raise RuntimeError(f"{' '.join(argv)}: exit code {code}: {said.getvalue()}")


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def _warm(place: Path, *, short: bool) -> dict[str, dict[str, bytes]]:
    """Run every search once; return the run folders that cases start from."""
    import timeloop_texts

    from dse.cli import COMMANDS

    for module, _ in COMMANDS.values():
        import_module(module)

    place.mkdir()
    os.environ["DSE_KNOWN_OPTIMA"] = str(place / "known_optima.json")
    before = Path.cwd()
    os.chdir(place)
    try:
        Path("arch.yaml").write_text(ARCH, encoding="utf-8")
        Path("net.yaml").write_text(NET, encoding="utf-8")
        text = timeloop_texts.tree() + timeloop_texts.AFTER
        Path("all.yaml").write_text(text, encoding="utf-8")
        _quietly(["model", "all.yaml"])
        _quietly([*RANDOM, *OPTIMIZERS["random"], "folder=done"])
        _quietly([*MAP, "folder=map"])
        _quietly(["map", "all.yaml", *MAP_FILES, "mapper=random", "-o", "mapped"])
        shutil.copytree("done", "again")
        template = "{{ include('all.yaml') }}\n"
        Path("top.yaml.j2").write_text(template, encoding="utf-8")
        _quietly(["convert", "top.yaml.j2", "--to", "v0.4"])
        _quietly(["compare", "done", "again"])
        _quietly(["show", "gemmini"])
        gemmini = [RANDOM[0], "arch=gemmini", *RANDOM[2:], "variables.pe_dim=4", "evaluator=cycles"]
        _quietly([*gemmini, "folder=cycles"])
        _quietly(["validate", "evaluator=cycles", "cycles"])
        folders = {name: _contents(Path(name)) for name in ("done", "cycles")}
        half = dict(folders["done"])
        del half["result.json"]  # as if killed before the end; resume goes on from the checkpoint
        folders["half"] = {n: c for n, c in half.items() if "/" not in n}
        if not short:
            for name, settings in OPTIMIZERS.items():
                _quietly([*RUN, f"optimizer={name}", *settings, f"folder={name}"])
            for name in ("gamma", "hillclimb"):
                _quietly([*MAP, f"mapper={name}", f"folder=map-{name}"])
            proven = ["run", "optimizer=optimal", "arch=gemmini", "workload=net.yaml", "n_jobs=1"]
            _quietly([*proven, "variables.pe_dim=16", "folder=optimal", "-q"])
            _quietly(["certify", "optimal", "-q", "--forget"])
            folders["optimal"] = _contents(Path("optimal"))
    finally:
        os.chdir(before)
    return folders


def _write(place: Path, case: Case, answer: Answer, fault: Fault) -> None:
    """Write a case so that it can be run again, by hand or by --replay."""
    name = re.sub(r"\W+", "-", fault.key)[:60].strip("-")
    place = place / f"{name}-{hashlib.sha256(fault.key.encode()).hexdigest()[:6]}"
    shutil.rmtree(place, ignore_errors=True)
    for file, content in case.files.items():
        (place / "files" / file).parent.mkdir(parents=True, exist_ok=True)
        (place / "files" / file).write_bytes(content)
    told = {
        "seed": case.seed,
        "kind": case.kind,
        "argv": [base64.b64encode(os.fsencode(word)).decode() for word in case.argv],
        "command": ["python", "-m", "dse", *case.argv],
        "fault": fault.key,
        "text": fault.text,
        "code": answer.code,
    }
    place.mkdir(parents=True, exist_ok=True)
    (place / "case.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    (place / "stderr.txt").write_text(answer.err, encoding="utf-8", errors="replace")


def _replayed(place: Path) -> Case:
    told = json.loads((place / "case.json").read_text(encoding="utf-8"))
    argv = [os.fsdecode(base64.b64decode(word)) for word in told["argv"]]
    return Case(told["kind"], argv, _contents(place / "files"), told["seed"])


class _Tally:
    """Counts what was tried and what came of it."""

    def __init__(self) -> None:
        self.inputs = 0
        self.kinds: Counter[str] = Counter()
        self.commands: dict[str, Counter[str]] = defaultdict(Counter)
        self.faults: dict[str, tuple[int, Fault, Case]] = {}
        self.slowest = (0.0, "")
        self.taken_mb = (0.0, "")

    def add(self, case: Case, answer: Answer) -> list[Fault]:
        """Count an answer; return its faults that are new."""
        self.inputs += 1
        self.kinds[case.kind] += 1
        code = "killed" if answer.code is None else str(answer.code)
        self.commands[case.command][code] += 1
        self.slowest = max(self.slowest, (answer.seconds, case.seed))
        self.taken_mb = max(self.taken_mb, (answer.taken_mb, case.seed))
        new = [fault for fault in answer.faults if fault.key not in self.faults]
        for fault in answer.faults:
            count, *first = self.faults.get(fault.key, (0, fault, case))
            self.faults[fault.key] = (count + 1, *first)
        return new

    def table(self) -> str:
        known = sorted(self.commands.items(), key=lambda item: -item[1].total())
        kinds = "  ".join(f"{kind} {n}" for kind, n in sorted(self.kinds.items()))
        lines = [
            f"{self.inputs:,} inputs",
            "slowest   {:.1f} s  [{}]".format(*self.slowest),
            "largest   {:.0f} MB  [{}]".format(*self.taken_mb),
            f"kinds     {kinds}",
            "commands  (exit code x times)",
        ]
        lines += [
            f"  {command[:12]!a:14} "
            + "  ".join(f"{code} x {n}" for code, n in sorted(codes.items()))
            for command, codes in known[:16]
        ]
        lines.append(f"faults    {len(self.faults)}")
        for key, (count, fault, case) in sorted(self.faults.items()):
            lines.append(f"  {count:4} x {key}  [{case.kind}, {case.seed}]\n         {fault.text}")
        return "\n".join(line.encode("ascii", "backslashreplace").decode() for line in lines) + "\n"


def main() -> int:
    """Fuzz for a while, or run one case again; return the exit code."""
    given = _parser().parse_args()
    start = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="dse-fuzz-")).resolve()
    tally = _Tally()
    try:
        folders = _warm(root / "warm", short=given.short)
        box = Sandbox(root, given.seconds, given.memory)
        corpus = Corpus(given.seed, root, folders)
        for option, kind in (("--only", given.only), ("--skip", given.skip)):
            if kind and kind not in corpus.kinds:
                sys.stderr.write(f"{option} {kind}: expected one of {', '.join(corpus.kinds)}\n")
                return 2
        corpus.kinds.pop(given.skip, None)
        if given.replay:
            answer = box.run(_replayed(given.replay))
            sys.stdout.write(answer.out)
            sys.stderr.write(answer.err)
            sys.stderr.write("".join(f"fault: {f.key}: {f.text}\n" for f in answer.faults))
            return 1 if answer.faults else 0
        sys.stderr.write(
            f"warm after {time.monotonic() - start:.0f} s; {', '.join(corpus.kinds)}\n"
        )
        gc.collect()
        gc.freeze()  # so that forks share what is loaded
        start = time.monotonic()
        while time.monotonic() - start < 60 * given.minutes and tally.inputs != given.inputs:
            case = corpus.case(tally.inputs, given.only)
            answer = box.run(case)
            for fault in tally.add(case, answer):
                sys.stderr.write(f"{case.seed} {fault.key!a}\n")
                if given.faults:
                    _write(given.faults, case, answer, fault)
        sys.stdout.write(tally.table())
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
