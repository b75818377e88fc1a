"""The simulation of ``scale.py``: steps of chunks of answers on nodes whose workers keep databases open."""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tasks.databases.sandbox.executor import MAX_OPEN


@dataclass(frozen=True, slots=True)
class Load:
    """All chunks in their order: the database of each, its seconds of a core; and each database's opening."""

    databases: NDArray[np.int64]
    seconds: NDArray[np.float64]
    openings: NDArray[np.float64]
    """Seconds to open a database, by its number."""
    step: int
    """Chunks of a step."""


@dataclass(frozen=True, slots=True)
class Result:
    """One placement on so many nodes."""

    nodes: int
    placement: str
    use: float
    """The share of core seconds that are worked, from the beginning of each step to its end."""
    steps: Sequence[float]
    """Seconds of each step."""
    opened: float
    """The share of chunks whose worker has the database open."""
    held: float
    """Databases that a node has been sent, in the mean."""

    def row(self) -> str:
        """A row of the table."""
        p50, p99 = np.quantile(self.steps, (0.5, 0.99))
        return (
            f"| {self.nodes} | {self.placement} | {self.use:.0%} | {p50:.2f} | {p99:.2f}"
            f" | {max(self.steps):.2f} | {self.opened:.0%} | {self.held:.0f} |"
        )


@dataclass(slots=True)
class Node:
    """The chunks that wait on a node, and what its workers have open."""

    workers: list[OrderedDict[int, None]]
    waiting: deque[int] = field(default_factory=deque)
    held: set[int] = field(default_factory=set)


Take = Callable[[int], int | None]
"""The next chunk for a free worker of a node; None if nothing is left for it."""


def _any(nodes: Sequence[Node], chunks: range, load: Load, rng: np.random.Generator) -> Take:
    for chunk, node in zip(chunks, rng.integers(len(nodes), size=len(chunks)), strict=True):
        nodes[node].waiting.append(chunk)
    return lambda node: nodes[node].waiting.popleft() if nodes[node].waiting else None


def _hash(nodes: Sequence[Node], chunks: range, load: Load, rng: np.random.Generator) -> Take:
    for chunk in chunks:
        nodes[load.databases[chunk] % len(nodes)].waiting.append(chunk)
    return lambda node: nodes[node].waiting.popleft() if nodes[node].waiting else None


def _pull(nodes: Sequence[Node], chunks: range, load: Load, rng: np.random.Generator) -> Take:
    shared = deque(chunks)
    return lambda node: shared.popleft() if shared else None


def _hash_pull(nodes: Sequence[Node], chunks: range, load: Load, rng: np.random.Generator) -> Take:
    _hash(nodes, chunks, load, rng)

    def take(node: int) -> int | None:
        if nodes[node].waiting:
            return nodes[node].waiting.popleft()
        longest = max(nodes, key=lambda one: len(one.waiting)).waiting
        return longest.pop() if longest else None

    return take


PLACEMENTS = {"any": _any, "hash": _hash, "pull": _pull, "hash, pull": _hash_pull}


def simulate(load: Load, size: tuple[int, int], placement: str) -> Result:
    """All steps on ``size`` = (nodes, workers of a node), one after the other; what is open stays open."""
    nodes, cores = size
    cluster = [Node([OrderedDict() for _ in range(cores)]) for _ in range(nodes)]
    rng = np.random.default_rng(1)
    steps, worked, hits = [], 0.0, 0
    for first in range(0, len(load.databases), load.step):
        chunks = range(first, min(first + load.step, len(load.databases)))
        seconds, busy, found = _step(cluster, PLACEMENTS[placement](cluster, chunks, load, rng), load)
        steps.append(seconds)
        worked += busy
        hits += found
    held = float(np.mean([len(node.held) for node in cluster]))
    use = worked / (nodes * cores * sum(steps))
    return Result(nodes, placement, use, steps, hits / len(load.databases), held)


def _step(cluster: Sequence[Node], take: Take, load: Load) -> tuple[float, float, int]:
    """Seconds of a step, seconds that its workers work, and chunks whose database was open."""
    free = [
        (0.0, worker, node) for node in range(len(cluster)) for worker in range(len(cluster[node].workers))
    ]
    heapq.heapify(free)
    end, busy, hits = 0.0, 0.0, 0
    while free:
        now, worker, node = heapq.heappop(free)
        chunk = take(node)
        if chunk is None:
            continue
        database, seconds = int(load.databases[chunk]), float(load.seconds[chunk])
        opened = cluster[node].workers[worker]
        if database in opened:
            opened.move_to_end(database)
            hits += 1
        else:
            seconds += float(load.openings[database])
            cluster[node].held.add(database)
            opened[database] = None
            if len(opened) > MAX_OPEN:
                opened.popitem(last=False)
        busy += seconds
        end = max(end, now + seconds)
        heapq.heappush(free, (now + seconds, worker, node))
    return end, busy, hits
