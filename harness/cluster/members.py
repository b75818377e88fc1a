"""The nodes of a cluster as the owner of the jobs sees them: which there are, what they do, which are lost.

A node that joins gets an actor; one whose versions differ is refused, because its verdicts might. A lost
actor is started again if its node is still there.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from harness.cluster.node import Node
from rewards.version import versions
from tasks.common.errors import ClusterError
from tasks.common.terminal import say
from tasks.types import Limits

REFRESH = 1.0
"""Seconds between two looks at the nodes of the cluster."""
MAX_DEATHS = 5
"""Deaths in a row of a node's actor, each before a first result, after which the node is refused."""


@dataclass(frozen=True, slots=True)
class Given:
    """A batch that a node has."""

    jobs: list[tuple[int, Any]]
    """Index and job."""
    after: frozenset[str] = frozenset()
    """Digests of the files that were sent before it."""


@dataclass(eq=False)
class Member:
    """A node with an actor."""

    id: str
    name: str
    workers: int
    actor: Any
    greeting: Any
    """The call that asks for its versions; None when it has answered."""
    batches: dict[Any, Given] = field(default_factory=dict)
    """Calls that it has not answered yet."""
    received: dict[str, Any] = field(default_factory=dict)
    """Digest of a file -> the call that sent it."""

    @property
    def load(self) -> float:
        """Batches for each worker."""
        return len(self.batches) / self.workers

    @property
    def has_room(self) -> bool:
        """Whether it can be sent a batch: one for each worker, and half as many ahead."""
        return self.greeting is None and len(self.batches) < self.workers + max(1, self.workers // 2)


class Members:
    """The nodes with their actors. ``workers`` on each node (0: its CPUs) are divided by ``share``."""

    def __init__(self, limits: Limits, workers: int, share: int, patience: float) -> None:
        self._limits = limits
        self._patience = patience
        self._workers = workers
        self._share = share
        self._members: dict[str, Member] = {}
        self._refused: dict[str, str] = {}
        """Id of a node -> why it is not used."""
        self._deaths: Counter[str] = Counter()
        self._next_look = 0.0
        self._alone_since = time.monotonic()
        """When there was a node last."""

    @property
    def workers(self) -> int:
        """The workers of all nodes that have answered."""
        return sum(member.workers for member in self._all() if member.greeting is None)

    def wait_anew(self) -> None:
        """Jobs begin: the patience for nodes counts from now."""
        self._alone_since = time.monotonic()

    def refresh(self) -> None:
        """Start actors on nodes that have joined. Raises ClusterError: none has been there for long."""
        import ray

        now = time.monotonic()
        if self.workers:
            self._alone_since = now
        if now < self._next_look:
            return
        self._next_look = now + REFRESH
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        for node in nodes:
            if node["NodeID"] not in self._members and node["NodeID"] not in self._refused:
                self._members[node["NodeID"]] = self._started(node)
        if nodes and not self._members:
            reasons = dict.fromkeys(self._refused.values())
            raise ClusterError(f"no node of the cluster can be used: {'; '.join(reasons)}")
        if now - self._alone_since > self._patience:
            raise ClusterError(
                f"no node of the cluster has answered for {self._patience:.0f} seconds;"
                " what was judged is kept"
            )

    def least_busy(self) -> Member | None:
        """The node to send a batch to; None where all have enough."""
        free = [member for member in self._all() if member.has_room]
        return min(free, key=lambda member: member.load, default=None)

    def calls(self) -> dict[Any, Member]:
        """All calls that wait for an answer, with their nodes."""
        waiting: dict[Any, Member] = {}
        for member in self._all():
            calls = list(member.batches) if member.greeting is None else [member.greeting]
            waiting |= dict.fromkeys(calls, member)
        return waiting

    def greeted(self, member: Member, theirs: dict[str, str]) -> None:
        """Take a node into use, or refuse it for its versions."""
        member.greeting = None
        pairs = [(name, theirs.get(name), ours) for name, ours in versions().items()]
        differing = [f"{name} is {other} there, {ours} here" for name, other, ours in pairs if other != ours]
        if differing:
            self.refuse(member, ", ".join(differing))

    def answered(self, member: Member) -> None:
        """A node has done a batch."""
        del self._deaths[member.id]

    def lost(self, member: Member, error: Exception) -> None:
        """Give up an actor; another one is started if the node is still there."""
        self._deaths[member.id] += 1
        if self._deaths[member.id] >= MAX_DEATHS:
            self.refuse(member, str(error).strip().splitlines()[-1].strip())
        else:
            self._end(member)

    def refuse(self, member: Member, reason: str) -> None:
        """Use a node no more."""
        self._refused[member.id] = f"node {member.name}: {reason}"
        say(f"{self._refused[member.id]}: it is not used")
        self._end(member)

    def end_busy(self) -> None:
        """End the actors that have batches left, because their results will not be read."""
        for member in self._all():
            if member.batches:
                self._end(member)

    def end(self) -> None:
        """End all actors."""
        for member in self._all():
            self._end(member)

    def _all(self) -> list[Member]:
        """A copy: another thread may end them all meanwhile."""
        return list(self._members.values())

    def _started(self, node: dict[str, Any]) -> Member:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        workers = max(1, (self._workers or int(node["Resources"]["CPU"])) // self._share)
        make = ray.remote(
            num_cpus=0,  # trainings and models on the same cluster keep theirs
            max_concurrency=2 * workers + 2,  # more than the batches that it has at once
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        )
        actor = make(Node).remote(self._limits, workers)
        name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        return Member(node["NodeID"], name, workers, actor, actor.versions.remote())

    def _end(self, member: Member) -> None:
        import ray

        self._members.pop(member.id, None)
        ray.kill(member.actor)
