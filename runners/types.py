"""The interface of runners, which ask models: messages in, texts out, without prompts or scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

from tasks.types import Message, Sample

Finish = Literal["stop", "length", "unanswered", "failed", "error"]
"""How an answer ended. ``stop`` and ``length`` (cut off) are answers of the model.

``unanswered``  the model cannot take the question: the prompt exceeds its context, or the endpoint refuses.
                It counts as a wrong answer (0).
``failed``      the question failed repeatedly while others were answered. Unscored, and not asked again.
``error``       there is no answer yet: the endpoint is gone, or a file lacks it. Unscored; the next run
                asks again.
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
"""Further sampling parameters (vLLM's names) with the values that turn them off. Every runner samples with
these; of a model's own ``generation_config`` only the end-of-sequence tokens are used."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are sampled. ``temperature`` 0 is greedy decoding."""

    temperature: float = 0.0
    n: int = 1
    max_new_tokens: int = 256
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()

    def settings(self, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """All sampling parameters, as a run records them.

        ``overrides``: parameters that replace ours in a request to an endpoint; None omits one.
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
    """One question, rendered as messages. ``sample`` is for runners that read stored or gold answers."""

    sample: Sample
    messages: tuple[Message, ...]
    passes: tuple[float, float] = (0.0, 0.0)
    """(correct answers, all answers) of an earlier evaluation: the curriculum's first pass rate."""


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One row of SFT: the rendered question and its target answer."""

    messages: tuple[Message, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer; without one, ``error`` is a line with the reason."""

    text: str
    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    finish: Finish = "stop"
    logprob: float | None = None
    """Sum of the log-probabilities of the answer's tokens, where the runner knows them."""
    error: str = ""
    cost: float = 0.0
    """US dollars, where the prices of the endpoint are set."""
    history: tuple[Message, ...] = ()
    """The turns between the request and this answer: answer, feedback, answer, feedback, ..."""


class Runner(Protocol):
    """A source of answers. ``name`` is shown on the leaderboard."""

    name: str

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index into requests, its n completions)`` as they are done, in any order."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Reward:
    """The training reward of one completion; with ``value`` None it is unscored, and its group is dropped."""

    value: float | None
    parts: Mapping[str, float] = field(default_factory=dict)
    correct: float | None = None
    """The verdict in the headline mode, from which a curriculum computes pass rates; None: unscored."""


def unsent(runner: Runner) -> tuple[str, ...]:
    """Sampling parameters that a runner does not send, so that their values on the server are unknown."""
    return tuple(getattr(runner, "unsent", ()))


RewardFunction = Callable[[Sequence[Sample], Sequence[str]], list[Reward]]
"""What a trainer calls: samples and completion texts (same length) -> rewards, in the same order."""
FeedbackFunction = Callable[[Sequence[Sample], Sequence[str], Sequence[str]], list[str]]
"""Samples, answers, previous answers -> the database's feedback on each answer; "" if the answer is final."""
