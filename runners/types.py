"""How a model is asked. A runner owns neither prompts nor scoring: messages in, text out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tasks.types import Message, Sample

Finish = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn. ``temperature`` 0 is greedy."""

    temperature: float = 0.0
    n: int = 1
    max_new_tokens: int = 256
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One question, rendered. ``sample`` is there for runners that replay or cheat (``gold``)."""

    sample: Sample
    messages: tuple[Message, ...]
    seen: tuple[float, float] = (0.0, 0.0)
    """Right answers, of how many answers, that an earlier evaluation drew: where a curriculum begins."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One training row: the rendered question and the answer to learn."""

    messages: tuple[Message, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. ``finish`` "error" means the runner failed: unscored, never wrong."""

    text: str
    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    finish: Finish = "stop"
    logprob: float | None = None
    """Sum of the log-probabilities of the answer's tokens, where the runner knows them."""
    error: str = ""
    cost: float = 0.0
    """US dollars, where the prices of an endpoint are given."""
    before: tuple[Message, ...] = ()
    """What was said after the request and before this answer, where there were several turns."""


class Runner(Protocol):
    """Anything that answers. ``name`` is what the board shows."""

    name: str

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index into requests, its n completions)`` in any order, as they are done."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Reward:
    """What a trainer pays for one completion: None is not scored, and drops its group from the loss."""

    value: float | None
    parts: Mapping[str, float] = field(default_factory=dict)
    right: float | None = None
    """The verdict of the metric, which a curriculum counts; None: not scored."""


Score = Callable[[Sequence[Sample], Sequence[str]], list[Reward]]
"""A trainer's view of the scorers: samples and completion texts (same length) -> rewards, in order."""
Feedback = Callable[[Sequence[Sample], Sequence[str], Sequence[str]], list[str]]
"""What a database says to answers, given the answers before them; "" where nothing speaks against one."""
