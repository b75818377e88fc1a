"""Connect to a Ray cluster, or start one on this machine. Ray is imported inside functions: it is an extra.

A cluster that is started here listens on 127.0.0.1 only, and ends with this process.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from tasks.common.errors import ClusterError, MissingExtra
from tasks.common.terminal import say

RAY = "ray"
"""The name of the cluster that runs here, or is started here."""
CLIENT = "ray://"
"""The scheme of the address of a cluster that this machine is no part of."""
SECONDS = 10.0
"""Seconds to wait until the port of a cluster answers."""
ATTEMPTS, CRASHED = 5, "Starting Ray client server failed"
"""How often a cluster is asked for a connection from outside, and what it says if the server that it starts
for it has crashed: ray 2.60 forks it among threads, which fails now and then (SIGSEGV)."""
OBJECTS = 256 * 2**20
"""Bytes of the objects on their way, in a cluster that is started here."""
_SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # all ports are bound to the loopback address
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # our workers have limits of their own
}
"""Ray's environment variables for a cluster on the loopback address."""


@contextmanager
def connected(on: str) -> Iterator[None]:
    """Be connected to the cluster ``ray`` or ``ray://host:port`` until the block ends.

    A process that is connected already stays so. Raises ClusterError, MissingExtra.
    """
    if find_spec("ray") is None:
        raise MissingExtra("ray", "ray")
    address = on if on.startswith(CLIENT) else running()
    with _settings() if not address or _is_loopback(address) else nullcontext():
        import ray

        if ray.is_initialized():
            yield
            return
        from ray._private import worker

        worker._worker_logs_enabled = False  # Ray prints the loss of a node, with logs, on standard output
        try:
            if address:
                _join(address)
                yield
            else:
                _start()
                with _named(ray.get_runtime_context().gcs_address):
                    yield
        finally:
            ray.shutdown()


def running() -> str:
    """The address of the cluster that RAY_ADDRESS names or that runs on this machine; "": none.

    A cluster that was started by ``ray start`` is noted in a file, which may be older than its end.
    """
    given = os.environ.get("RAY_ADDRESS", "auto")
    if given not in ("", "auto"):
        return given
    file = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray" / "ray_current_cluster"
    try:
        address = file.read_text().strip()
        _expect_answer(address)
    except (OSError, ValueError, ClusterError):
        return ""
    return address


def _start() -> None:
    import ray

    say("no Ray cluster runs here: one is started")
    ray.init(
        address="local",
        include_dashboard=False,
        object_store_memory=OBJECTS,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def _join(address: str) -> None:
    """Connect to a running cluster. Raises ClusterError."""
    import ray

    _expect_answer(address)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            return
        except Exception as error:  # of many types; a traceback of the cluster ends with the cause
            cause = str(error).strip().splitlines()[-1]
            if CRASHED not in cause or attempt == ATTEMPTS:
                raise ClusterError(f"{address}: {cause}") from None


def _expect_answer(address: str) -> None:
    """Raise ClusterError unless something listens: Ray itself would try for minutes."""
    try:
        place = urlsplit(address if "://" in address else f"//{address}")
        if not place.hostname or not place.port:
            raise ClusterError(f"'{address}' is no address of a Ray cluster: write ray://host:10001")
        socket.create_connection((place.hostname, place.port), SECONDS).close()
    except ValueError as error:
        raise ClusterError(f"'{address}' is no address of a Ray cluster: {error}") from None
    except OSError as error:
        raise ClusterError(f"no Ray cluster answers at {address}: {error.strerror or error}") from None


def _is_loopback(address: str) -> bool:
    return not address.startswith(CLIENT) and address.rpartition(":")[0] in ("127.0.0.1", "localhost")


@contextmanager
def _named(address: str) -> Iterator[None]:
    """Have processes that are started from here connect to the cluster that was started here."""
    os.environ["RAY_ADDRESS"] = address
    try:
        yield
    finally:
        del os.environ["RAY_ADDRESS"]


@contextmanager
def _settings() -> Iterator[None]:
    """Ray's settings for the loopback address; they are read when Ray is imported, and by its processes."""
    before = {name: os.environ.get(name) for name in _SETTINGS}
    os.environ.update({**_SETTINGS, **{name: value for name, value in before.items() if value is not None}})
    from ray._private import ray_constants

    clusters, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
