"""Nodes of a Ray cluster that are killed, join, differ or are far away; clusters that are started here."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from harness.cli import main
from harness.cluster.pool import ClusterPool
from leaderboards import store
from runners.nano import FOLDER
from tasks.cluster import connected
from tasks.common.errors import ClusterError
from tasks.types import Database, Limits

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from raylets import running_cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="pip install -e '.[ray]'"),
]
TESTS = str(Path(__file__).parent)
ROOT = Path(__file__).parents[1]
NONE = Database("none")
WHO = "sandbox_jobs:who"


def test_the_jobs_of_a_killed_node_are_done_by_others_and_by_one_that_joins() -> None:
    jobs = [(NONE, 0.05)] * 400
    with running_cluster(PYTHONPATH=TESTS) as cluster:
        victim = cluster.add()
        with connected("ray"), closing(ClusterPool(Limits(), 1)) as pool:
            results: Counter[int] = Counter()
            actors: list[int] = []
            for index, actor in pool.map(WHO, jobs):
                results[index] += 1
                actors.append(actor)
                if len(results) == 100:
                    cluster.kill(victim)
                    cluster.add()
    assert sorted(results) == list(range(400)) and set(results.values()) == {1}
    before, after = set(actors[:100]), set(actors[200:])
    assert len(before) == 2 and len(after - before) == 1 and len(before - after) == 1


def test_without_any_node_the_jobs_wait_and_then_end_with_one_line() -> None:
    with running_cluster(cpus=0, PYTHONPATH=TESTS) as cluster, connected("ray"):
        alone = ClusterPool(Limits(), 1, patience=3.0)
        with pytest.raises(ClusterError, match="no node of the cluster has answered for 3 seconds"):
            list(alone.map(WHO, [(NONE, 0.0)]))
        with closing(ClusterPool(Limits(), 1)) as pool:
            node = cluster.add()
            begun = pool.map(WHO, [(NONE, 0.05)] * 100)
            done = [next(begun)[0]]
            cluster.kill(node)
            cluster.add()
            assert sorted([*done, *(index for index, _ in begun)]) == list(range(100))


def test_a_node_with_other_code_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    for package in ("harness", "rewards", "tasks", "runners", "leaderboards"):
        shutil.copytree(ROOT / package, other / package)
    with (other / "rewards" / "judge.py").open("a") as file:
        file.write("\n# another version\n")
    monkeypatch.chdir(tmp_path)
    with running_cluster(PYTHONPATH=TESTS) as cluster:
        cluster.add(PYTHONPATH=f"{other}:{TESTS}")
        with connected("ray"), closing(ClusterPool(Limits(), 1)) as pool:
            actors = {actor for _, actor in pool.map(WHO, [(NONE, 0.05)] * 200)}
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("node ")]
    assert len(actors) == 1
    assert "code is " in line and line.endswith(" here: it is not used") and "sqlite" not in line


def wait_for(address: str) -> None:
    """Wait until something listens at an address."""
    place = urlsplit(address)
    while True:
        with suppress(OSError), socket.create_connection((place.hostname, place.port or 0)):
            return
        time.sleep(0.2)


def test_a_cluster_is_used_from_outside_by_its_client_port(home: Path) -> None:
    gold = ["eval", "--model", "gold", "--task", "pocket", "--limit", "40"]
    with running_cluster(client=True) as cluster:
        wait_for(cluster.client)
        assert main([*gold, "--on", cluster.client]) == 0
    (run,) = store.runs()
    assert [record.metric for record in store.records(run.id)] == [1.0] * 40


def test_a_cluster_that_is_started_here_is_closed_to_others_and_ends_with_the_command(
    home: Path, tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, str(Path(__file__).with_name("ray_started.py"))]
    with subprocess.Popen(
        command, env={**environment, "RAY_TMPDIR": "/tmp/hr-own"}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
        listening = [
            connection.laddr.ip.removeprefix("::ffff:")
            for pid in family
            for connection in psutil.Process(pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        process.send_signal(signal.SIGKILL)
    assert len(family) > 4 and set(listening) == {"127.0.0.1"}
    deadline = time.monotonic() + 150
    while left := [pid for pid in family if psutil.pid_exists(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.5)
    shutil.rmtree("/tmp/hr-own")


def trained(out: Path, *words: str) -> tuple[list[float], bytes]:
    """The rewards of five steps, and the weights after them."""
    sizes = {"max_steps": 5, "prompts_per_step": 2, "group_size": 4, "micro_groups": 1, "max_new_tokens": 40}
    command = ["train", "--task", "pocket", "--method", "grpo", "--model", "nano", "--out", str(out)]
    sets = [word for name, size in sizes.items() for word in ("--set", f"train.{name}={size}")]
    assert main([*command, *sets, "--limit", "40", "--no-eval", *words]) == 0
    (run,) = [run for run in store.runs() if run.model == str(out / "model")]
    rewards = [row["reward"] for row in store.curve(run.id)]
    return rewards, (out / "model" / "model.safetensors").read_bytes()


def test_a_training_that_scores_on_a_cluster_learns_the_same(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    here = trained(tmp_path / "here")
    with running_cluster() as cluster:
        cluster.add()
        there = trained(tmp_path / "there", "--on", "ray")
    assert there == here and len(here[0]) == 5
    assert here[1] != (FOLDER / "model.safetensors").read_bytes()
