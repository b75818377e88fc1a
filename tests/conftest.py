"""What every test may need: the real data where it is, and a home of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us with it ignored


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real benchmarks, or a skip that says why."""
    place = os.environ.get("HARNESS_DATA")
    if not place:
        pytest.skip("HARNESS_DATA is not set: no real benchmarks here")
    return Path(place)


@pytest.fixture(scope="session")
def pocket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded task, built once."""
    from tasks import pocket as task

    place = tmp_path_factory.mktemp("pocket") / "pocket-1"
    task.build(place)
    return place


@pytest.fixture
def home(tmp_path: Path, pocket: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HARNESS_HOME of its own with nothing in it but the embedded task."""
    place = tmp_path / "home"
    place.mkdir()
    (place / pocket.name).symlink_to(pocket)
    monkeypatch.setenv("HARNESS_HOME", str(place))
    return place
