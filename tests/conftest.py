"""Marks as slow the tests that ``slow_tests.txt`` names, beside those that say so themselves.

Code that is not compiled yet is compiled where it is called, as in a library, and not interpreted
first as in a command: what a test prints does not depend on what ran before.
"""

from contextlib import nullcontext
from pathlib import Path

import pytest

SLOW = Path(__file__).with_name("slow_tests.txt")


def pytest_collection_modifyitems(items):
    listed = set(SLOW.read_text(encoding="utf-8").split())
    for item in items:
        if item.nodeid.partition("[")[0] in listed:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="session")
def _compiles_at_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dse.jit_tiers.interpreting_first", nullcontext)
        yield
