"""Copies of a model on the nodes of a Ray cluster answer as one model does; lost ones lose no question."""

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.cli import main
from leaderboards import store
from runners.cluster.replicas import ReplicaRunner
from runners.open import open_runner
from runners.settings import RunnerConfig
from runners.types import Completion, Request, Runner, Sampling
from tasks.cluster import connected
from tasks.common.errors import ModelError
from tasks.task import Task

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from raylets import RayCluster, running_cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install -e '.[ray]'"),
]
TWO = RunnerConfig(replicas=2)
SAMPLING = Sampling(max_new_tokens=48, temperature=1.0, n=2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with running_cluster() as started:
        started.add(2)
        yield started


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    task = Task.named("pocket")
    return [Request(sample, tuple(task.messages(sample))) for sample in task.samples("dev", 200)]


def answers(runner: Runner, requests: list[Request]) -> dict[int, list[str]]:
    """The texts of each question, each of which must be answered once."""
    found: dict[int, list[Completion]] = {}
    for index, completions in runner.generate(requests, SAMPLING):
        assert index not in found
        found[index] = completions
    return {index: [completion.text for completion in found[index]] for index in sorted(found)}


def test_copies_answer_as_the_model_does_here_and_a_lost_one_loses_nothing(
    cluster: RayCluster, requests: list[Request]
) -> None:
    import ray

    with closing(open_runner("nano")) as here:
        expected = answers(here, requests)
    with connected("ray"):
        runner = ReplicaRunner("nano", TWO)
        with closing(runner):
            assert runner.name == "nano"
            assert answers(runner, requests) == expected
            asked = runner.generate(requests, SAMPLING)
            found = [next(asked)]
            ray.kill(runner._copies[0].actor)
            found += asked
            assert sorted(index for index, _ in found) == list(range(len(requests)))
            assert all([c.text for c in completions] == expected[index] for index, completions in found)


def records(home: Path, *options: str) -> list[dict[str, object]]:
    """The records of an evaluation of 40 questions, without times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(home))
        assert main(["eval", "--model", "nano", "--task", "pocket", "--limit", "40", *options]) == 0
        (run,) = store.runs()
        return [
            {key: value for key, value in asdict(record).items() if "seconds" not in key}
            for record in store.records(run.id)
        ]


def test_an_evaluation_by_copies_has_the_records_of_one_here(tmp_path: Path, cluster: RayCluster) -> None:
    there = records(tmp_path / "there", "--on", "ray", "--set", "runner.replicas=2")
    assert there == records(tmp_path / "here")


def test_what_copies_cannot_do_is_one_line(cluster: RayCluster) -> None:
    with pytest.raises(ModelError, match=r"replicas=2: copies run on a Ray cluster: add --on ray"):
        ReplicaRunner("nano", TWO)
    with connected("ray"):
        with pytest.raises(ModelError, match="9 replicas need 9 CPUs, and the cluster has 3"):
            ReplicaRunner("nano", RunnerConfig(replicas=9))
        with pytest.raises(ModelError, match="no/where"):
            ReplicaRunner("no/where", TWO)
