"""Marks as slow the tests that ``slow_tests.txt`` names, beside those that say so themselves."""

from pathlib import Path

import pytest

SLOW = Path(__file__).with_name("slow_tests.txt")


def pytest_collection_modifyitems(items):
    listed = set(SLOW.read_text(encoding="utf-8").split())
    for item in items:
        if item.nodeid.partition("[")[0] in listed:
            item.add_marker(pytest.mark.slow)
