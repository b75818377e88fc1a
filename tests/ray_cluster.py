"""Clusters of several raylets on this machine, and jobs for their workers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rewards.grader import Grader
from rewards.types import Answer, Grade
from tasks.spec import ScoringSpec
from tasks.types import Workers


class RayCluster:
    """Raylets that listen on 127.0.0.1; ``RAY_ADDRESS`` names them while the block runs."""

    def __init__(self, home: Path) -> None:
        from ray.cluster_utils import Cluster

        self.home = home
        """HARNESS_HOME of the nodes."""
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
        own = {"HARNESS_HOME": str(self.home), "PYTHONPATH": str(Path(__file__).parent), **environment}
        size = {"num_cpus": cpus, "object_store_memory": 80 * 2**20}
        return {"node_ip_address": "127.0.0.1", "env_vars": own, **size}


@contextmanager
def running_cluster() -> Iterator[RayCluster]:
    """A cluster of one raylet with one CPU, to which ``--on ray`` connects."""
    folder = tempfile.mkdtemp(prefix="hr-", dir="/tmp")  # names of sockets must be short
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = RayCluster(Path(folder) / "home")
        patch.setenv("RAY_ADDRESS", cluster.address)
        try:
            yield cluster
        finally:
            cluster.stop()
            shutil.rmtree(folder, ignore_errors=True)


def graded(scoring: ScoringSpec, workers: Workers, answers: list[Answer]) -> list[tuple[object, ...]]:
    """What may not depend on where the answers are scored: all but times."""
    with Grader(scoring, workers) as grader:
        return [facts(grade) for grade in grader.grade_answers(answers)]


def facts(grade: Grade) -> tuple[object, ...]:
    attempt = grade.attempt
    scores = {name: (score.value, score.reason) for name, score in grade.scores.items()}
    return (
        attempt.sql,
        attempt.reason,
        attempt.verdicts,
        attempt.detail,
        attempt.rows,
        attempt.steps,
        scores,
    )
