"""Ray clusters of several raylets on this machine."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's environment variables; the second one binds its ports to the loopback address."""


class RayCluster:
    """Raylets that listen on 127.0.0.1; ``RAY_ADDRESS`` names them while the block runs."""

    def __init__(self, home: Path, cpus: int, client: bool, environment: Mapping[str, str]) -> None:
        from ray.cluster_utils import Cluster

        self.home = home
        """HARNESS_HOME of the nodes."""
        self._environment = {"HARNESS_HOME": str(home), **environment}
        options = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
        port = {"ray_client_server_port": _free_port()} if client else {}
        self._cluster = Cluster(True, head_node_args={**self._options(cpus), **options, **port})
        self.address: str = self._cluster.address
        self.client = f"ray://127.0.0.1:{port['ray_client_server_port']}" if client else ""
        """The address for a machine that is no part of the cluster."""

    def add(self, cpus: int = 1, **environment: str) -> Any:
        """Start a raylet; its processes get this environment too."""
        return self._cluster.add_node(**self._options(cpus, **environment))

    def kill(self, node: Any) -> None:
        """End a raylet as SIGKILL would."""
        self._cluster.remove_node(node, allow_graceful=False)

    def stop(self) -> None:
        """End all raylets."""
        self._cluster.shutdown()

    def _options(self, cpus: int, **environment: str) -> dict[str, Any]:
        own = {**self._environment, **environment}
        size = {"num_cpus": cpus, "object_store_memory": 80 * 2**20}
        return {"node_ip_address": "127.0.0.1", "env_vars": own, **size}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def running_cluster(cpus: int = 1, client: bool = False, **environment: str) -> Iterator[RayCluster]:
    """A cluster of one raylet, to which ``--on ray`` connects. ``client``: with a port for other machines."""
    folder = tempfile.mkdtemp(prefix="hr-", dir="/tmp")  # names of sockets must be short
    before = dict(os.environ)
    os.environ |= {**SETTINGS, "RAY_TMPDIR": folder}
    cluster = RayCluster(Path(folder) / "home", cpus, client, environment)
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield cluster
    finally:
        cluster.stop()
        for name in (*SETTINGS, "RAY_TMPDIR", "RAY_ADDRESS"):
            os.environ.pop(name)
            os.environ |= {name: before[name]} if name in before else {}
        shutil.rmtree(folder, ignore_errors=True)
