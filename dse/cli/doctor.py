"""``python -m dse doctor``: what is found of the tools that dse can use, and what each gives."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from dse import __version__
from dse.cli.columns import two_columns
from dse.errors import DseError
from dse.tools import binaries

#: Optional Python packages: what they give, and how to get them.
_PACKAGES = {
    "jinja2": ("reading timeloopfe's jinja2 templates", "pip install jinja2"),
    "torch": ("import of PyTorch networks; extra learned", "https://pytorch.org/get-started"),
    "onnx": ("import of ONNX networks", "pip install onnx"),
}


@dataclass(frozen=True)
class _Finding:
    """One tool: where and which it is (None: missing), what it gives, how to get it."""

    name: str
    found: str | None
    gives: str
    guide: str
    trouble: str = ""


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code, which is 0 whatever is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m dse doctor",
        description="Say which external tools are found, their versions, and what each gives.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="write JSON to stdout")
    arguments = parser.parse_args(argv)
    findings = list(_findings())
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(f) for f in findings], indent=2) + "\n")
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    lines = [f"dse {__version__}, Python {platform.python_version()}, {cores} cores", ""]
    for finding in findings:
        about = [finding.found or "", f"gives {finding.gives}"]
        if finding.found is None:
            about = [about[1], finding.trouble]
            if finding.guide not in finding.trouble:
                about.append(f"how to get it: {finding.guide}")
        state = "found" if finding.found else "missing"
        text = "\n".join(part for part in about if part)
        lines += two_columns([(f"{state:7}  {finding.name:16}", text)])
    lines += ["", "Nothing of this is needed for 'run' and 'model' with the native model."]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _findings() -> Iterator[_Finding]:
    from dse.components import accelergy  # noqa: PLC0415 - loads numpy
    from dse.tools import pytimeloop, verilator  # noqa: PLC0415

    def model() -> str:
        path = binaries.find("timeloop-model")
        return f"{path} (computes as {binaries.version(path) or 'no version that dse knows'})"

    def mapper() -> str:
        return str(binaries.find("timeloop-mapper"))

    def prices() -> str:
        tool = accelergy.find()
        return f"{tool.path} (version {tool.version})"

    yield _finding("timeloop-model", model, "evaluator=timeloop, validate", binaries.GUIDE)
    yield _finding("timeloop-mapper", mapper, "mapper=timeloop", binaries.GUIDE)
    yield _finding(
        "pytimeloop", pytimeloop.described, "evaluator=pytimeloop, validate", pytimeloop.GUIDE
    )

    def simulator() -> str:
        tools = verilator.find()
        return f"{tools.binary} ({verilator.version(tools)})"

    yield _finding("verilator", simulator, "evaluator=rtl, validate", verilator.GUIDE)
    yield _finding("accelergy", prices, "energy=accelergy", accelergy.GUIDE)
    for name, (gives, guide) in _PACKAGES.items():
        try:
            yield _Finding(name, version(name), gives, guide)
        except PackageNotFoundError:
            yield _Finding(name, None, gives, guide)


def _finding(name: str, look: Callable[[], str], gives: str, guide: str) -> _Finding:
    try:
        return _Finding(name, look(), gives, guide)
    except DseError as error:
        # a tool that is there but does not work is as good as missing; the reason is shown
        return _Finding(name, None, gives, guide, str(error))
