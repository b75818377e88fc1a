"""Ask many questions in threads or in chunks. A failure costs only its own question, many in a row stop."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

from runners.types import Completion, Finish, Request
from tasks.common.errors import ModelError
from tasks.common.secrets import redacted
from tasks.types import Message

Item = TypeVar("Item")
Result = TypeVar("Result")
Answers = list[Completion]
Ask = Callable[[Sequence[Request]], list[Answers]]

MAX_FAILURES = 32
"""After this many questions in a row without an answer the remaining ones are not asked."""
QUESTIONS_PER_FAILURE = 20
"""A finished run may hold one failed question for this many questions, and always one."""
INTERRUPTS = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""Exceptions that end a run. Any other BaseException (a panic of a Rust library) fails its question."""

_CONTEXT_EXCEEDED = re.compile(
    r"context[ _](length|window|size|limit)|maximum context|max(imum)?[ _](model|sequence|input)[ _]len"
    r"|prompt is too long|input is too long|too many (input )?tokens|longer than the (model|maximum)"
    r"|inputs? tokens? .{0,40}exceed|`inputs` tokens",
    re.IGNORECASE,
)


def context_exceeded(message: str) -> bool:
    """Whether an error says that the prompt is longer than the model's context.

    It knows the messages of OpenAI, Anthropic, Bedrock, vLLM, SGLang, TGI, llama.cpp and transformers.
    """
    return _CONTEXT_EXCEEDED.search(message) is not None


def error_line(error: BaseException) -> str:
    """An error as part of one line, without secrets."""
    return f"{type(error).__name__}: {' '.join(redacted(str(error)).split())[:200]}"


def few_failures(failed: int, questions: int) -> bool:
    """Whether few enough of the questions failed that they may stay unscored in a finished run."""
    return 0 < failed <= max(1, questions // QUESTIONS_PER_FAILURE)


class FailureLimit:
    """Counts questions in a row that got no answer."""

    def __init__(self, name: str) -> None:
        """``name``: the model or endpoint, for the error message."""
        self.name = name
        self.failed = 0

    def count(self, answers: Sequence[Completion]) -> None:
        """Count one question. Raises ModelError after ``MAX_FAILURES``."""
        self.failed = self.failed + 1 if all(answer.finish == "error" for answer in answers) else 0
        if self.failed >= MAX_FAILURES:
            raise ModelError(
                f"{self.name}: {self.failed} questions in a row got no answer: {answers[-1].error}"
            )


def in_chunks(
    name: str, ask: Ask, requests: Sequence[Request], n: int, size: int
) -> Iterator[tuple[int, Answers]]:
    """Yield ``(index, the n answers)`` of each request; ``size`` requests are asked together.

    Failed questions come last. They are final (``failed``) if they are few and the model answers a plain
    question. Raises ModelError: too many failures in a row, or no question is answered, not even a plain one.
    """
    limit = FailureLimit(name)
    failed: dict[int, Answers] = {}
    try:
        for start in range(0, len(requests), size):
            for number, answers in enumerate(in_halves(ask, requests[start : start + size], n)):
                if any(answer.finish == "error" for answer in answers):
                    failed[start + number] = answers
                else:
                    yield start + number, answers
                limit.count(answers)
    except ModelError:
        yield from failed.items()
        raise
    if not failed:
        return
    few, all_failed = few_failures(len(failed), len(requests)), len(failed) == len(requests)
    answers_plain = (few or all_failed) and _answers_plain_question(ask, requests[0])
    for index, answers in failed.items():
        final = few and answers_plain
        yield index, [replace(answer, finish="failed") for answer in answers] if final else answers
    if all_failed and not answers_plain:
        raise ModelError(f"{name}: no question got an answer: {failed[0][0].error}")


def _answers_plain_question(ask: Ask, request: Request) -> bool:
    """Whether the model answers a plain question with the roles of this request."""
    messages = tuple(Message(role=message["role"], content="Hello") for message in request.messages)
    (answers,) = in_halves(ask, [replace(request, messages=messages)], 1)
    return all(answer.finish != "error" for answer in answers)


def in_halves(ask: Ask, requests: Sequence[Request], n: int) -> Iterator[Answers]:
    """Yield the n answers to each request, asked together; if ``ask`` raises, each half is asked separately.

    A batch without failures costs one call, and a failing question loses only its own answer.
    """
    try:
        answers = ask(requests)
    except BaseException as error:
        if isinstance(error, INTERRUPTS):
            raise
        if len(requests) == 1:
            finish: Finish = "unanswered" if context_exceeded(str(error)) else "error"
            yield [Completion("", finish=finish, error=error_line(error))] * n
            return
        half = len(requests) // 2
        yield from in_halves(ask, requests[:half], n)
        yield from in_halves(ask, requests[half:], n)
        return
    yield from answers


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[int, Result]]:
    """Yield ``(index, function(item))`` as the calls end; ``workers`` threads make them.

    Raises the first exception of a call, after which no further call begins. The threads are daemons, so
    Ctrl-C does not wait for a reply.
    """
    todo: SimpleQueue[int] = SimpleQueue()
    done: SimpleQueue[tuple[int, Result | None, BaseException | None]] = SimpleQueue()
    stopped = Event()
    for index in range(len(items)):
        todo.put(index)

    def work() -> None:
        while not stopped.is_set():
            try:
                index = todo.get_nowait()
            except Empty:
                return
            try:
                done.put((index, function(items[index]), None))
            except BaseException as error:  # raised again in the caller's thread
                stopped.set()
                done.put((index, None, error))

    for _ in range(min(workers, len(items))):
        Thread(target=work, daemon=True).start()
    try:
        for _ in items:
            index, result, error = done.get()
            if error is not None:
                raise error
            yield index, result  # type: ignore[misc]  # None only beside an error
    finally:
        stopped.set()
