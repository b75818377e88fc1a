"""A node's part of a cluster's pool: sandboxes of one worker each, so that slow jobs delay no others.

The actor runs in a process of Ray. The SQL runs in the sandboxes' workers, which start with an empty
environment and are killed with the actor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import Any

from harness.cluster.databases import local, receive
from harness.cluster.types import Batch, File, Missing, Reply, Unfit
from rewards.version import versions
from tasks.databases.sandbox.pool import SMALLEST, Sandbox
from tasks.types import Database, Limits

SECONDS = 1.0
"""Seconds of a batch after which a node answers with what it has done: the owner keeps that, and does the
other jobs elsewhere if the node is lost."""


class Node:
    """The actor of one node. ``workers``: how many batches it does at the same time."""

    def __init__(self, limits: Limits, workers: int) -> None:
        self._idle: SimpleQueue[Sandbox] = SimpleQueue()
        for _ in range(workers):
            self._idle.put(Sandbox(1, limits))
        self._receiving = threading.Lock()

    def versions(self) -> dict[str, str]:
        """The versions here of what decides verdicts."""
        return versions()

    def receive(self, file: File, parts: Sequence[Sequence[Any]]) -> None:
        """Keep a file. ``parts``: references to the pieces of each part. Raises DataError."""
        import ray

        def content(references: Sequence[Any]) -> Iterator[bytes]:
            return (ray.get(reference) for reference in references)

        with self._receiving:
            receive(file, map(content, parts))

    def run(self, batch: Batch, *_: object) -> Reply:
        """Do a batch, or the beginning of a slow one. The other arguments have to be received before it."""
        databases: list[Database] = []
        missing: list[File] = []
        for given in batch.databases:
            found = local(given, batch.machine)
            if isinstance(found, Unfit):
                return found
            if isinstance(found, Missing):
                missing += found.files
            else:
                databases.append(found)
        if missing:
            return Missing(tuple(missing))
        jobs = [(databases[place], *rest) for _, place, rest in batch.jobs]
        sandbox = self._idle.get()
        try:
            results = _done(sandbox, batch.work, jobs)
        finally:
            self._idle.put(sandbox)
        return [(batch.jobs[place][0], result) for place, result in results.items()]


def _done(sandbox: Sandbox, work: str, jobs: Sequence[Any]) -> dict[int, Any]:
    """The results of jobs by their place: of the first ones only, where they take longer than ``SECONDS``."""
    began, size = time.monotonic(), SMALLEST
    results: dict[int, Any] = {}
    while len(results) < len(jobs) and time.monotonic() - began < SECONDS:
        first = len(results)
        results |= {first + place: result for place, result in sandbox.map(work, jobs[first : first + size])}
        size *= 2
    return results
