"""Evaluation in several turns: after a query that fails or returns no rows, the model is sent feedback."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from rewards.feedback import feedback
from rewards.grader import Grader
from runners.dialogue import converse, previous_answer
from runners.types import Completion, Request, Runner, Sampling, unsent
from tasks.task import Task
from tasks.types import Message, Workers

BATCH = 64
"""Answers that are executed together."""


@dataclass(frozen=True, slots=True)
class _Conversation:
    """A request with the turns so far, and the newest answer to it."""

    index: int
    """Index of its request."""
    request: Request
    number: int = -1
    """Number of its answer among the request's n answers; -1 before the first turn."""
    answer: Completion = field(default_factory=partial(Completion, ""))
    """The newest answer, with the costs of all turns."""
    previous: Completion | None = None
    """The answer of the turn before."""

    @property
    def text(self) -> str:
        return self.answer.text

    @property
    def history(self) -> tuple[Message, ...]:
        return self.answer.history

    def extended(self, messages: tuple[Message, ...]) -> _Conversation:
        """The conversation with the messages that ask again."""
        request = replace(self.request, messages=self.request.messages + messages)
        answer = replace(self.answer, history=self.history + messages)
        return replace(self, request=request, answer=answer, previous=self.answer)

    def answered(self, number: int, answer: Completion) -> _Conversation:
        """The conversation with a new answer, which takes over the costs of the turns before.

        If the longer conversation does not fit the model's context, the answer of the turn before is kept.
        """
        if self.previous and answer.finish == "unanswered":
            reason = f"turn {len(self.history) // 2 + 1}: {answer.error}"
            return replace(self, answer=replace(self.previous, error=reason))
        total = replace(
            answer,
            tokens=self.answer.tokens + answer.tokens,
            seconds=self.answer.seconds + answer.seconds,
            cost=self.answer.cost + answer.cost,
            history=self.history,
        )
        return replace(self, number=max(self.number, number), answer=total)


class TurnsRunner:
    """A runner that asks another one up to ``turns`` times where an answer fails or returns no rows."""

    def __init__(self, runner: Runner, task: Task, workers: Workers, turns: int) -> None:
        self.runner, self.task, self.turns = runner, task, turns
        self.name = runner.name
        self._grader = Grader(task.spec.scoring, workers, structure=False)

    @property
    def unsent(self) -> tuple[str, ...]:
        """The settings of sampling that the other runner does not send."""
        return unsent(self.runner)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index, n completions)``: the final answers, each with its ``history``."""

        def draw(turn: int, asked: Sequence[_Conversation]) -> Iterator[list[_Conversation]]:
            return self._draw(asked, sampling if turn == 0 else replace(sampling, n=1))

        answers: list[dict[int, Completion]] = [{} for _ in requests]
        conversations = [_Conversation(index, request) for index, request in enumerate(requests)]
        for conversation in converse(conversations, draw, self._feedback, _Conversation.extended, self.turns):
            by_number = answers[conversation.index]
            by_number[conversation.number] = conversation.answer
            if len(by_number) == sampling.n:
                yield conversation.index, [by_number[number] for number in range(sampling.n)]

    def _draw(self, asked: Sequence[_Conversation], sampling: Sampling) -> Iterator[list[_Conversation]]:
        """The conversations with their new answers, about ``BATCH`` at a time."""
        batch: list[_Conversation] = []
        requests = [conversation.request for conversation in asked]
        for index, completions in self.runner.generate(requests, sampling):
            batch += [asked[index].answered(number, answer) for number, answer in enumerate(completions)]
            if len(batch) >= BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _feedback(self, batch: Sequence[_Conversation]) -> list[str]:
        """The database's feedback on each answer; "" where the answer is final or the model gave none."""
        samples = [conversation.request.sample for conversation in batch]
        grades = self._grader.grade(self.task, samples, [conversation.text for conversation in batch])
        return [
            feedback(grade.attempt, previous_answer(conversation.history))
            if conversation.answer.finish in ("stop", "length")
            else ""
            for conversation, grade in zip(batch, grades, strict=True)
        ]

    def close(self) -> None:
        """Close the other runner, and end the workers."""
        self._grader.close()
        self.runner.close()
