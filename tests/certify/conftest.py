"""What tests of certificates stand apart from: the user's known optima, and a real Timeloop."""

from pathlib import Path

import pytest

from dse.certify import known


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(known.VARIABLE, str(tmp_path / "known.json"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DSE_TIMELOOP_MODEL", raising=False)
