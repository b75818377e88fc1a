"""Fixtures for all tests: the folder of real data, the pocket task, and a HARNESS_HOME of a test's own."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start a process with SIGINT ignored


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what runs vLLM where it is not installed."""
    if find_spec("vllm") is None:
        for item in items:
            if item.get_closest_marker("vllm"):
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed here: make test-vllm"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real benchmarks; the test is skipped where HARNESS_DATA is not set."""
    place = os.environ.get("HARNESS_DATA")
    if not place:
        pytest.skip("HARNESS_DATA is not set: the real benchmarks are missing")
    return Path(place)


@pytest.fixture(scope="session")
def pocket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pocket task's databases, built once."""
    from tasks import pocket as task

    place = tmp_path_factory.mktemp("pocket") / "pocket-1"
    task.build(place)
    return place


@pytest.fixture
def home(tmp_path: Path, pocket: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HARNESS_HOME that holds only the pocket task."""
    place = tmp_path / "home"
    place.mkdir()
    (place / pocket.name).symlink_to(pocket)
    monkeypatch.setenv("HARNESS_HOME", str(place))
    return place
