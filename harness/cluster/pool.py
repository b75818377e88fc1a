"""A pool of workers on the nodes of a cluster, with the interface of the sandbox.

This process keeps the jobs. A node has a bounded number of batches; each batch is done by one of its workers,
so that a slow query delays one worker and no node. Deadlines count while a query runs, as in the sandbox.
Results are keyed by job, so they do not depend on which node gave them, or when.

If a node or its actor is lost, other nodes do its jobs again. Jobs that are lost twice are sent alone; one
that is lost again and again ends as our own failure, never as the answer's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from harness.cluster.batches import ClusterJobs
from harness.cluster.databases import pieces
from harness.cluster.members import Given, Member, Members
from harness.cluster.types import File, Missing, Unfit
from tasks.common.errors import first_line
from tasks.databases.sandbox.process import IN_WORKER
from tasks.types import Limits

POLL = 0.2
"""Seconds to wait for answers."""

PATIENCE = 120.0


class ClusterPool:
    """Workers on all nodes of the cluster to which this process is connected; see ``tasks.types.Pool``.

    ``workers`` on each node (0: one for each CPU) are divided by ``share``, the number of processes that have
    such a pool. Actors start on first use. ``patience``: seconds to wait for a node when there is none.
    """

    def __init__(self, limits: Limits, workers: int = 0, share: int = 1, patience: float = PATIENCE) -> None:
        self._members = Members(limits, workers, share, patience)
        self._turn = threading.Lock()
        self._closed = 0
        """How often ``close`` was called."""

    def close(self) -> None:
        """End the actors and their workers. A ``map`` that is running raises RuntimeError."""
        self._closed += 1
        self._members.end()

    def map(
        self, work: str, jobs: Sequence[Any], costs: Sequence[float] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yield ``(index, result)`` of every job, in any order, as results arrive.

        Raises ClusterError: no node is left; RuntimeError: the work raised, or the pool was closed.
        """
        with self._turn:
            batches, closed = ClusterJobs(work, jobs, costs), self._closed
            self._members.wait_anew()
            try:
                while batches.left:
                    if self._closed != closed:
                        raise RuntimeError("the pool was closed while it was working")
                    self._members.refresh()
                    self._feed(batches)
                    for result in self._collect(batches):
                        batches.left -= 1
                        yield result
            finally:
                self._members.end_busy()

    def _feed(self, batches: ClusterJobs) -> None:
        """Send batches to the nodes that have room."""
        batches.workers = max(1, self._members.workers)
        while (member := self._members.least_busy()) and (jobs := batches.take_batch()):
            self._send(member, batches, jobs)

    def _send(
        self, member: Member, batches: ClusterJobs, jobs: list[tuple[int, Any]], files: Sequence[File] = ()
    ) -> None:
        """Send a batch to a node; ``files`` are there before it begins."""
        before = [member.received[file.digest] for file in files]
        call = member.actor.run.remote(batches.batch(jobs), *before)
        member.batches[call] = Given(jobs, frozenset(file.digest for file in files))

    def _collect(self, batches: ClusterJobs) -> Iterator[tuple[int, Any]]:
        """Wait a little, and yield the results that have arrived."""
        import ray

        calls = self._members.calls()
        if not calls:
            time.sleep(POLL)
            return
        ready, _ = ray.wait(list(calls), timeout=POLL)
        if ready:
            ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0)
        for call in ready:
            member = calls[call]
            if call in member.batches or call == member.greeting:  # else it was given up just now
                yield from self._answer(call, member, batches)

    def _answer(self, call: Any, member: Member, batches: ClusterJobs) -> Iterator[tuple[int, Any]]:
        """Handle the answer of a node to a call. Raises RuntimeError: the work raised, with its traceback."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            reply = ray.get(call)
        except RayTaskError as error:
            cause = error.cause or error
            if isinstance(cause, RuntimeError) and str(cause).startswith(IN_WORKER):
                raise RuntimeError(str(cause)) from None
            self._refuse(member, batches, first_line(cause))
        except RayError as error:
            yield from self._lose(member, batches, error)
        else:
            if call == member.greeting:
                self._members.greeted(member, reply)
            elif isinstance(reply, Unfit):
                self._refuse(member, batches, reply.reason)
            elif isinstance(reply, Missing):
                self._send_files(member, batches, member.batches.pop(call), reply.files)
            else:
                done = {index for index, _ in reply}
                batches.take_back([job for job in member.batches.pop(call).jobs if job[0] not in done])
                self._members.answered(member)
                yield from reply

    def _lose(self, member: Member, batches: ClusterJobs, error: Exception) -> Iterator[tuple[int, Any]]:
        """Give up an actor; other nodes do its jobs. Yields the jobs that are given up, with their result."""
        given = list(member.batches.values())
        member.batches.clear()
        self._members.lost(member, error)
        for batch in given:
            yield from batches.lose(batch.jobs)

    def _refuse(self, member: Member, batches: ClusterJobs, reason: str) -> None:
        """Use a node no more; its batches go to others."""
        for given in member.batches.values():
            batches.take_back(given.jobs)
        member.batches.clear()
        self._members.refuse(member, reason)

    def _send_files(self, member: Member, batches: ClusterJobs, given: Given, files: Sequence[File]) -> None:
        """Send a node the files that a batch needs, once, and the batch again."""
        import ray

        if kept_not := [file for file in files if file.digest in given.after]:
            batches.take_back(given.jobs)
            self._refuse(member, batches, f"it does not keep {kept_not[0].path}")
            return
        try:
            for file in files:
                if file.digest not in member.received:
                    parts = [[ray.put(piece) for piece in part] for part in pieces(file)]
                    member.received[file.digest] = member.actor.receive.remote(file, parts)
        except OSError:  # the file has gone meanwhile: what cannot be read here is unscored
            batches.forget_files()
            batches.take_back(given.jobs)
            return
        self._send(member, batches, given.jobs, files)
