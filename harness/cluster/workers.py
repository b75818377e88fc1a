"""Where answers are scored: by processes of this machine, or on the nodes of a Ray cluster (``--on``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tasks.types import Limits, Pool, Workers


@dataclass(frozen=True, slots=True)
class ClusterWorkers:
    """Makes pools on the connected cluster. ``count``: workers on each node; 0: one for each CPU.

    ``share``: how many processes divide them.
    """

    count: int
    share: int

    def __call__(self, limits: Limits) -> Pool:
        from harness.cluster.pool import ClusterPool

        return ClusterPool(limits, self.count, self.share)


@contextmanager
def scoring_workers(on: str | None, count: int, share: int = 1) -> Iterator[Workers]:
    """The workers of a command with ``--on`` and ``--workers``, connected until the block ends.

    ``share``: the number of processes of the command, which divide the workers of a cluster.
    Raises ClusterError, MissingExtra.
    """
    if not on:
        yield count
        return
    from tasks.cluster import connected

    with connected(on):
        yield ClusterWorkers(count, share)
