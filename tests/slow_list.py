"""Writes ``slow_tests.txt``: the tests that ``-m 'not slow'`` leaves out, from a run's durations.

    python -m pytest --junitxml=report.xml
    python -m tests.slow_list report.xml [--seconds 30]

All cases of a test count together, with their fixtures. The quickest tests stay in until they
take that many seconds together; a test that the list does not know is quick.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

SLOW = Path(__file__).with_name("slow_tests.txt")


def main() -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="of the whole suite, in JUnit's format")
    parser.add_argument("--seconds", type=float, default=30.0, help="of all that stay in (30)")
    arguments = parser.parse_args()
    seconds: Counter[str] = Counter()
    for case in ElementTree.parse(arguments.report).iter("testcase"):  # noqa: S314 - our own file
        if not case.get("classname"):
            continue  # a file that is skipped as a whole
        seconds[_test(case)] += float(case.get("time") or 0.0)
    left, total = [], 0.0
    for test, taken in sorted(seconds.items(), key=lambda item: item[1]):
        total += taken
        if total > arguments.seconds:
            left.append(test)
    SLOW.write_text("".join(f"{test}\n" for test in sorted(left)), encoding="utf-8")
    slowest = max((seconds[test] for test in seconds.keys() - set(left)), default=0.0)
    sys.stdout.write(
        f"{len(seconds) - len(left)} of {len(seconds)} tests stay in; the slowest of them takes "
        f"{slowest:.2f} s\n"
    )
    return 0


def _test(case: ElementTree.Element) -> str:
    """Return the node of a case's test: file, classes, function."""
    parts = (case.get("classname") or "").split(".")
    at = next(i for i in range(len(parts), 0, -1) if Path(*parts[:i]).with_suffix(".py").is_file())
    file = Path(*parts[:at]).with_suffix(".py").as_posix()
    name = (case.get("name") or "").partition("[")[0]
    return "::".join([file, *parts[at:], name])


if __name__ == "__main__":
    sys.exit(main())
