"""Failures that belong to a question, and when to stop asking."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from runners.types import Completion, Request
from tasks.errors import ModelError

GIVE_UP = 32
"""Questions in a row without any answer after which the rest is not asked."""

Answers = list[Completion]


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


def in_chunks(
    name: str, ask: Ask, requests: Sequence[Request], n: int, size: int
) -> Iterator[tuple[int, Answers]]:
    """``(index, the n answers)`` of each request, ``size`` of them asked together.

    Raises ModelError where too many questions in a row get no answer.
    """
    patience = Patience(name)
    for start in range(0, len(requests), size):
        for number, answers in enumerate(in_halves(ask, requests[start : start + size], n)):
            yield start + number, answers
            patience.note(answers)


def in_halves(ask: Ask, requests: Sequence[Request], n: int) -> Iterator[Answers]:
    """The n answers to each request, asked together; where that raises, each half is asked by itself.

    So a whole batch costs one call, and what raises costs only the question at fault its answer.
    """
    try:
        found = ask(requests)
    except Exception as error:  # a library's, whatever it is: it says nothing about the model's answer
        if len(requests) == 1:
            yield [Completion("", finish="error", error=line(error))] * n
            return
        half = len(requests) // 2
        yield from in_halves(ask, requests[:half], n)
        yield from in_halves(ask, requests[half:], n)
        return
    yield from found


def line(error: Exception) -> str:
    """An error as a part of one line, without keys."""
    return f"{type(error).__name__}: {' '.join(hidden(str(error)).split())[:200]}"


def hidden(text: str) -> str:
    """A text without the values of the environment's keys: libraries print what servers reply."""
    for name, value in os.environ.items():
        if name.endswith(("_KEY", "_TOKEN")) and len(value) >= 8:
            text = text.replace(value, "[key]")
    return text
