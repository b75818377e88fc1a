"""Failures that belong to a question, and when to stop asking."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from runners.types import Completion, Finish, Request
from tasks.common.errors import ModelError
from tasks.common.secrets import redacted
from tasks.types import Message

GIVE_UP = 32
"""Questions in a row without any answer after which the rest is not asked."""

FEW = 20
"""One in so many questions, and always one, may fail for good while the others are answered."""

Answers = list[Completion]


def few(questions: int) -> int:
    """How many of these questions may fail for good in a run that ends all the same."""
    return max(1, questions // FEW)


class Patience:
    """Counts questions that got no answer, one after the other."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lost = 0

    def note(self, answers: Sequence[Completion]) -> None:
        """Count one question. Raises ModelError where too many in a row were lost."""
        self.lost = self.lost + 1 if all(answer.finish == "error" for answer in answers) else 0
        if self.lost >= GIVE_UP:
            raise ModelError(
                f"{self.name}: {self.lost} questions in a row got no answer: {answers[-1].error}"
            )


Ask = Callable[[Sequence[Request]], list[Answers]]
STOPS = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What is no failure of a question. All else is: a panic of a library in Rust is no Exception either."""

_OVER_CONTEXT = re.compile(
    r"context[ _](length|window|size|limit)|maximum context|max(imum)?[ _](model|sequence|input)[ _]len"
    r"|prompt is too long|input is too long|too many (input )?tokens|longer than the (model|maximum)"
    r"|inputs? tokens? .{0,40}exceed|`inputs` tokens",
    re.IGNORECASE,
)


def over_context(message: str) -> bool:
    """Does an error say that a prompt is longer than the model's context?

    In the words of OpenAI, Anthropic, Bedrock, vLLM, SGLang, TGI, llama.cpp and transformers.
    """
    return _OVER_CONTEXT.search(message) is not None


def in_chunks(
    name: str, ask: Ask, requests: Sequence[Request], n: int, size: int
) -> Iterator[tuple[int, Answers]]:
    """``(index, the n answers)`` of each request, ``size`` of them asked together.

    The few that fail while the others are answered come last, as ``failed``. Raises ModelError where too many
    questions in a row get no answer.
    """
    patience = Patience(name)
    lost: dict[int, Answers] = {}
    try:
        for start in range(0, len(requests), size):
            for number, answers in enumerate(in_halves(ask, requests[start : start + size], n)):
                if any(answer.finish == "error" for answer in answers):
                    lost[start + number] = answers
                else:
                    yield start + number, answers
                patience.note(answers)
    except ModelError:
        yield from lost.items()
        raise
    final = 0 < len(lost) <= few(len(requests)) and _alive(ask, requests[0])
    for index, answers in lost.items():
        yield index, [replace(one, finish="failed") for one in answers] if final else answers


def _alive(ask: Ask, request: Request) -> bool:
    """Is a plain question with the roles of this one answered?"""
    messages = tuple(Message(role=one["role"], content="Hello") for one in request.messages)
    (found,) = in_halves(ask, [replace(request, messages=messages)], 1)
    return all(answer.finish != "error" for answer in found)


def in_halves(ask: Ask, requests: Sequence[Request], n: int) -> Iterator[Answers]:
    """The n answers to each request, asked together; where that raises, each half is asked by itself.

    So a whole batch costs one call, and what raises costs only the question at fault its answer.
    """
    try:
        found = ask(requests)
    except BaseException as error:  # a library's, whatever it is: it says nothing about the model's answer
        if isinstance(error, STOPS):
            raise
        if len(requests) == 1:
            finish: Finish = "unanswered" if over_context(str(error)) else "error"
            yield [Completion("", finish=finish, error=line(error))] * n
            return
        half = len(requests) // 2
        yield from in_halves(ask, requests[:half], n)
        yield from in_halves(ask, requests[half:], n)
        return
    yield from found


def line(error: BaseException) -> str:
    """An error as a part of one line, without secrets."""
    return f"{type(error).__name__}: {' '.join(redacted(str(error)).split())[:200]}"
