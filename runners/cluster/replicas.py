"""Copies of a model on the nodes of a Ray cluster, asked as one runner.

Each copy is an actor with a runner of its own. It gets neighbouring questions, so that questions on one
database share their prompt, and the next ones while it answers. A copy that is lost is replaced, and its
questions are asked again. Answers do not depend on who gives them: their seeds come from the questions.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from runners.settings import RunnerConfig
from runners.types import Completion, Request, Sampling
from runners.weights import identity
from tasks.common.errors import HarnessError, MissingExtra, ModelError, first_line
from tasks.common.terminal import say

CHUNK = 64
"""Questions that are sent to a copy at a time."""
AHEAD = 2
"""Chunks that a copy has at most: one that it answers, and one to continue with."""
MAX_LOSSES = 2
"""Copies lost at the same question, asked alone, after which it stays without an answer."""
MAX_LOST_IN_A_ROW = 16
"""Copies lost without an answer in between after which no more are started."""
POLL = 5.0
"""Seconds for which Ray is waited for at a time."""

Answers = list[tuple[int, list[Completion]]]
"""(index of a question, its n completions)."""


class Copy:
    """The actor. An error of the model is part of what it returns; an exception is a loss of the actor."""

    def open(self, name: str, config: RunnerConfig) -> tuple[str, object]:
        """Load the model. Returns an error or "", and what must be equal in all copies."""
        from runners.open import open_runner

        try:
            self._runner = open_runner(name, config)
            return "", (self._runner.name, identity.content(name, config), identity.settings(name, config))
        except HarnessError as error:
            return str(error), None

    def ask(self, requests: Sequence[Request], sampling: Sampling) -> tuple[Answers, str]:
        """(index, its n completions) of the requests, and why there are no more; "" if that is all."""
        answers: Answers = []
        try:
            answers.extend(self._runner.generate(requests, sampling))
        except ModelError as error:
            return answers, str(error)
        return answers, ""


@dataclass(slots=True, eq=False)
class _Handle:
    """A copy as this process sees it."""

    actor: Any
    opening: Any
    """Reference to the result of ``open``; None once it is known."""
    chunks: dict[Any, range] = field(default_factory=dict)
    """Reference to the answers -> the questions, the oldest chunk first."""


class ReplicaRunner:
    """A model that ``config.replicas`` actors run, on the cluster to which this process is connected."""

    def __init__(self, name: str, config: RunnerConfig) -> None:
        """Raises ModelError: the cluster has no room, a copy cannot load the model, or the copies differ."""
        _expect_connection(config.replicas)
        self._model = name
        self._config = config.model_copy(update={"replicas": 0})
        self._needs = _needs(name, config)
        self.name = ""
        self._facts: object = None
        self._lost = 0
        self._copies = [self._start() for _ in range(config.replicas)]
        try:
            self._wait_for_first()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all copies."""
        import ray

        for copy in self._copies:
            ray.kill(copy.actor)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index into requests, its n completions)`` as they are done. Raises ModelError."""
        import ray

        every = range(len(requests))
        waiting = deque(every[start : start + CHUNK] for start in every[::CHUNK])
        losses: Counter[int] = Counter()
        while waiting or any(copy.chunks for copy in self._copies):
            for copy in self._copies:
                while waiting and copy.opening is None and len(copy.chunks) < AHEAD:
                    chunk = waiting.popleft()
                    copy.chunks[copy.actor.ask.remote([requests[i] for i in chunk], sampling)] = chunk
            expected = [r for copy in self._copies for r in (copy.opening, *copy.chunks) if r is not None]
            for reference in ray.wait(expected, num_returns=1, timeout=POLL)[0]:
                answers, lost = self._receive(reference)
                yield from answers
                for chunk in lost:
                    yield from _again(chunk, waiting, losses, sampling.n)

    def _wait_for_first(self) -> None:
        """Wait until a copy has loaded the model."""
        import ray

        while not self.name:
            opening = [copy.opening for copy in self._copies]
            for reference in ray.wait(opening, num_returns=1, timeout=POLL)[0]:
                self._receive(reference)

    def _start(self) -> _Handle:
        import ray

        actor = ray.remote(scheduling_strategy="SPREAD", **self._needs)(Copy).remote()
        return _Handle(actor, actor.open.remote(self._model, self._config))

    def _receive(self, reference: Any) -> tuple[Answers, list[range]]:
        """What a copy has answered; or, if it is lost, its chunks, and another copy is started."""
        import ray

        copy = next(c for c in self._copies if reference is c.opening or reference in c.chunks)
        try:
            result = ray.get(reference)
        except ray.exceptions.RayError as error:
            self._replace(copy, error)
            return [], list(copy.chunks.values())
        if reference is copy.opening:
            copy.opening = None
            self._expect_equal(*result)
            return [], []
        chunk = copy.chunks.pop(reference)
        answers, reason = result
        if reason:
            raise ModelError(reason)
        self._lost = 0
        return [(chunk[number], completions) for number, completions in answers], []

    def _replace(self, copy: _Handle, error: Exception) -> None:
        self._lost += 1
        if self._lost > MAX_LOST_IN_A_ROW:
            raise ModelError(f"{self._model}: {self._lost} copies in a row were lost: {first_line(error)}")
        say(f"{self._model}: a copy was lost, and another is started: {first_line(error)}")
        self._copies[self._copies.index(copy)] = self._start()

    def _expect_equal(self, error: str, facts: Any) -> None:
        """Note what the first copy has loaded. Raises ModelError: another has loaded something else."""
        if error:
            raise ModelError(error)
        if not self.name:
            self.name, self._facts = facts[0], facts
        if facts != self._facts:
            raise ModelError(
                f"{self._model}: the nodes have different files or devices for it: {facts} and {self._facts}"
            )


def _expect_connection(count: int) -> None:
    """Raise ModelError, MissingExtra unless this process is connected to a cluster."""
    if find_spec("ray") is None:
        raise MissingExtra("ray", "ray")
    import ray

    if not ray.is_initialized():
        raise ModelError(f"runner.replicas={count}: copies run on a Ray cluster: add --on ray")


def _needs(name: str, config: RunnerConfig) -> dict[str, float]:
    """What Ray reserves for a copy. Raises ModelError: the cluster has less than all copies need."""
    import ray

    there = ray.cluster_resources()
    kind = "GPU" if there.get("GPU") else "CPU"
    each = config.vllm.tensor_parallel if kind == "GPU" and name.startswith("vllm:") else 1
    if each * config.replicas > there.get(kind, 0):
        raise ModelError(
            f"{config.replicas} replicas need {each * config.replicas} {kind}s, and the cluster has"
            f" {there.get(kind, 0):g}"
        )
    return {"num_gpus": each, "num_cpus": 0} if kind == "GPU" else {"num_cpus": 1}


def _again(
    chunk: range, waiting: deque[range], losses: Counter[int], n: int
) -> Iterator[tuple[int, list[Completion]]]:
    """Put a lost chunk first in line, in halves; a question that is lost alone repeatedly has failed."""
    if len(chunk) > 1:
        half = len(chunk) // 2
        waiting.extendleft([chunk[half:], chunk[:half]])
        return
    (question,) = chunk
    losses[question] += 1
    if losses[question] < MAX_LOSSES:
        waiting.appendleft(chunk)
        return
    error = f"{MAX_LOSSES} copies of the model were lost at this question"
    yield question, [Completion("", finish="failed", error=error)] * n
