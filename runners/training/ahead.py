"""Answers are scored while others are still being sampled: a thread waits for the scorer."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread

from runners.types import Reward, RewardFunction
from tasks.types import Sample

Group = tuple[str, tuple[str, ...]]
"""A sample's id and the answers to it."""


class Ahead:
    """Rewards of groups that were handed in early. What is waiting is scored in one call."""

    def __init__(self, score: RewardFunction) -> None:
        self._score = score
        self._todo: SimpleQueue[tuple[Sample, Group]] = SimpleQueue()
        self._paid: dict[Group, Future[list[Reward]]] = {}
        Thread(target=self._work, daemon=True).start()

    def submit(self, sample: Sample, texts: Sequence[str]) -> None:
        """Have the answers to one sample scored."""
        group = (sample.id, tuple(texts))
        if group not in self._paid:
            self._paid[group] = Future()
            self._todo.put((sample, group))

    def rewards(self, samples: Sequence[Sample], texts: Sequence[str], size: int) -> list[Reward]:
        """The rewards of groups of ``size``, in order; those not handed in early are scored now.

        Raises what the scorer raised. All groups are forgotten.
        """
        found: list[Reward] = []
        for start in range(0, len(texts), size):
            self.submit(samples[start], texts[start : start + size])
        for start in range(0, len(texts), size):
            found += self._paid[samples[start].id, tuple(texts[start : start + size])].result()
        self._paid.clear()
        return found

    def _work(self) -> None:
        while True:
            waiting = [self._todo.get()]
            try:
                while True:
                    waiting.append(self._todo.get_nowait())
            except Empty:
                pass
            samples = [sample for sample, (_, texts) in waiting for _ in texts]
            futures = [self._paid[group] for _, group in waiting]
            try:
                rewards = self._score(samples, [text for _, (_, texts) in waiting for text in texts])
            except BaseException as error:  # handed to the trainer, whatever it is
                for future in futures:
                    future.set_exception(error)
                continue
            for future, (_, (_, texts)) in zip(futures, waiting, strict=True):
                future.set_result(rewards[: len(texts)])
                rewards = rewards[len(texts) :]
