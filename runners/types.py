"""How a model is asked. A runner owns neither prompts nor scoring: messages in, text out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

from tasks.types import Message, Sample

Finish = Literal["stop", "length", "unanswered", "failed", "error"]
"""How an answer ended. ``stop`` and ``length`` (cut off) are answers of the model.

``unanswered``  the model takes no such question: its prompt is over the context, or it was refused. Wrong: 0.
``failed``      the question fails again and again while others are answered. Unscored, and final.
``error``       not answered yet: the endpoint is gone, or a file lacks it. Unscored, and asked again.
"""

NEUTRAL: Mapping[str, float] = MappingProxyType(
    {
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }
)
"""What else could change how answers are drawn, and the values that turn it off (vLLM's names). Every way to
run a model draws with these: a model's own ``generation_config`` says only where answers end."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn. ``temperature`` 0 is greedy."""

    temperature: float = 0.0
    n: int = 1
    max_new_tokens: int = 256
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()

    def settings(self, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """All that decides how answers are drawn, as a run records it.

        ``overrides``: parameters that an endpoint is sent instead; None leaves one out.
        """
        own = {
            "temperature": self.temperature,
            "samples": self.n,
            "top_p": self.top_p,
            "max_new_tokens": self.max_new_tokens,
            "seed": self.seed,
            "stop": list(self.stop),
            **NEUTRAL,
        }
        return own | {name: value for name, value in (overrides or {}).items() if name in own}


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
    """One answer; ``error`` says in one line why there is none."""

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
    history: tuple[Message, ...] = ()
    """The turns between the request and this answer: answer, feedback, answer, feedback, ..."""


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


def unsent(runner: Runner) -> tuple[str, ...]:
    """Settings of sampling that a runner does not send: what its server does instead is not known."""
    return tuple(getattr(runner, "unsent", ()))


RewardFunction = Callable[[Sequence[Sample], Sequence[str]], list[Reward]]
"""What a trainer calls: samples and completion texts (same length) -> rewards, in the same order."""
Feedback = Callable[[Sequence[Sample], Sequence[str], Sequence[str]], list[str]]
"""What a database says to answers, given the answers before them; "" where nothing speaks against one."""
