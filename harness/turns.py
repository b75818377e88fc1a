"""Several turns: a model whose query fails or returns nothing is told so by the database, and asked again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rewards.feedback import feedback
from rewards.grader import Grader
from rewards.types import Answer
from runners.dialogue import answer_before, asked_again
from runners.types import Completion, Request, Runner, Sampling, unsent
from tasks.task import Task
from tasks.types import Message

BATCH = 64
"""Answers that are run together."""


@dataclass(frozen=True, slots=True)
class _Open:
    """One conversation: whose answer it is, what is asked now, and the answer so far."""

    index: int
    number: int
    request: Request
    answer: Completion
    stood: Completion | None = None
    """The answer before, as it was given."""

    @property
    def drawn(self) -> bool:
        """Is the answer the model's?"""
        return self.answer.finish in ("stop", "length")


class TurnsRunner:
    """Another runner, asked again up to ``turns`` times where its answer does not run or returns no rows."""

    def __init__(self, runner: Runner, task: Task, workers: int, turns: int) -> None:
        self.runner, self.task, self.turns = runner, task, turns
        self.name = runner.name
        self._grader = Grader(task.spec.scoring, workers, structure=False)

    @property
    def unsent(self) -> tuple[str, ...]:
        """What the runner does not send."""
        return unsent(self.runner)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index, n completions)``: the last answers, with what was said before them."""
        answers: list[dict[int, Completion]] = [{} for _ in requests]
        asked = [_Open(index, -1, request, Completion("")) for index, request in enumerate(requests)]
        for turn in range(self.turns):
            again: list[_Open] = []
            how = sampling if turn == 0 else replace(sampling, n=1)
            for batch in self._drawn(asked, how):
                last = turn + 1 == self.turns
                said = [""] * len(batch) if last else self._feedback(batch)
                for one, complaint in zip(batch, said, strict=True):
                    before = one.answer.before
                    if more := asked_again(before, one.answer.text, complaint, self.turns):
                        again.append(_with(one, more))
                        continue
                    answers[one.index][one.number] = one.answer
                    if len(answers[one.index]) == sampling.n:
                        yield one.index, [answers[one.index][k] for k in range(sampling.n)]
            asked = again

    def _drawn(self, asked: Sequence[_Open], sampling: Sampling) -> Iterator[list[_Open]]:
        """The conversations with their new answers, some at a time."""
        batch: list[_Open] = []
        for place, found in self.runner.generate([one.request for one in asked], sampling):
            one = asked[place]
            for number, answer in enumerate(found):
                batch.append(replace(one, number=max(one.number, number), answer=_added(one, answer)))
            if len(batch) >= BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _feedback(self, batch: Sequence[_Open]) -> list[str]:
        """What the database says to each answer; "" where it stands, or was never drawn."""
        graded = self._grader.grade(
            [
                Answer(self.task.database(one.request.sample), one.request.sample.gold, one.answer.text)
                for one in batch
            ]
        )
        return [
            feedback(grade.attempt, answer_before(one.answer.before)) if one.drawn else ""
            for one, grade in zip(batch, graded, strict=True)
        ]

    def close(self) -> None:
        """Close the runner, and end our workers."""
        self._grader.close()
        self.runner.close()


def _added(one: _Open, answer: Completion) -> Completion:
    """An answer with what the turns before it cost, and what was said in them.

    Where the model does not take the longer conversation, the answer before stands.
    """
    if one.stood and answer.finish == "unanswered":
        return replace(one.stood, error=f"turn {len(one.answer.before) // 2 + 1}: {answer.error}")
    before = one.answer
    return replace(
        answer,
        tokens=before.tokens + answer.tokens,
        seconds=before.seconds + answer.seconds,
        cost=before.cost + answer.cost,
        before=before.before,
    )


def _with(one: _Open, more: tuple[Message, ...]) -> _Open:
    """A conversation in which these messages follow."""
    request = replace(one.request, messages=one.request.messages + more)
    answer = replace(one.answer, before=one.answer.before + more)
    return replace(one, request=request, answer=answer, stood=one.answer)
