"""What every test may need: the real data where it is, and a home of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real benchmarks, or a skip that says why."""
    place = os.environ.get("HARNESS_DATA")
    if not place:
        pytest.skip("HARNESS_DATA is not set: no real benchmarks here")
    return Path(place)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HARNESS_HOME."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
