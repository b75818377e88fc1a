"""Ray clusters of several raylets on this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class RayCluster:
    """Raylets that listen on 127.0.0.1; ``RAY_ADDRESS`` names them while the block runs."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        from ray.cluster_utils import Cluster

        self.home = home
        """HARNESS_HOME of the nodes."""
        self._environment = {"HARNESS_HOME": str(home), **environment}
        options = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
        self._cluster = Cluster(True, head_node_args={**self._options(1), **options})
        self.address: str = self._cluster.address

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


@contextmanager
def running_cluster(**environment: str) -> Iterator[RayCluster]:
    """A cluster of one raylet with one CPU, to which ``--on ray`` connects."""
    folder = tempfile.mkdtemp(prefix="hr-", dir="/tmp")  # names of sockets must be short
    before = dict(os.environ)
    os.environ |= {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"}
    cluster = RayCluster(Path(folder) / "home", environment)
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield cluster
    finally:
        cluster.stop()
        for name in ("RAY_TMPDIR", "RAY_USAGE_STATS_ENABLED", "RAY_ADDRESS"):
            os.environ.pop(name)
            os.environ |= {name: before[name]} if name in before else {}
        shutil.rmtree(folder, ignore_errors=True)
