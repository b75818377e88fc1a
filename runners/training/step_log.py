"""What a training step adds to the curve: figures, tokens and wall-clock time by phase."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Clock:
    """Wall-clock seconds by phase; time in an inner phase does not count for the outer one."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the block's time."""
        began, inner = time.perf_counter(), self.seconds.total()
        yield
        self.seconds[name] += time.perf_counter() - began - (self.seconds.total() - inner)  # type: ignore[assignment]

    def timed(self, name: str, function: Callable[P, T]) -> Callable[P, T]:
        """A function whose calls count as this phase."""

        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            with self.phase(name):
                return function(*args, **kwargs)

        return call


@dataclass(frozen=True, slots=True)
class StepLog:
    """What a step adds to the curve."""

    figures: Mapping[str, float]
    """Of the answers that were drawn first: which groups a refill adds depends on their rewards."""
    tokens: int
    """Of all prompts and conversations, in all processes."""
    seconds: Mapping[str, float]
    """Wall-clock time by phase."""

    def followed_by(self, more: StepLog) -> StepLog:
        """This log, after further answers were drawn in the same step."""
        seconds = {phase: self.seconds[phase] + more.seconds[phase] for phase in self.seconds}
        return StepLog(self.figures, self.tokens + more.tokens, seconds)

    def extended(self, figures: Mapping[str, float]) -> StepLog:
        """This log with further figures."""
        return replace(self, figures={**self.figures, **figures})

    def row(self) -> dict[str, float]:
        """By their names in the curve."""
        return {**self.figures, **{f"{phase}_seconds": value for phase, value in self.seconds.items()}}
