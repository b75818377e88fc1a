"""Grading for trainers that ask for one answer at a time, from many coroutines or threads."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from queue import Empty, SimpleQueue
from threading import Thread

from rewards.grader import Grader
from rewards.types import Answer, Grade
from tasks.spec import ScoringSpec

_Waiting = tuple[Answer, "Future[Grade]"]


class GradingQueue:
    """One grader for all callers in this process: answers that arrive while it is busy form its next batch.

    Its own thread grades, so that it does not depend on an event loop. A cancelled answer is left out of the
    batch and does not affect the others.
    """

    def __init__(self, scoring: ScoringSpec, workers: int = 0) -> None:
        self._grader = Grader(scoring, workers)
        self._waiting: SimpleQueue[_Waiting] = SimpleQueue()
        Thread(target=self._work, daemon=True).start()

    def submit(self, answer: Answer) -> Future[Grade]:
        """The coming grade of one answer. Its result raises the error that the grader raised on its batch."""
        future: Future[Grade] = Future()
        self._waiting.put((answer, future))
        return future

    async def grade(self, answer: Answer) -> Grade:
        """The grade of one answer. Raises the error that the grader raised on its batch."""
        return await asyncio.wrap_future(self.submit(answer))

    def _work(self) -> None:
        while True:
            batch = [self._waiting.get()]
            with suppress(Empty):
                while True:
                    batch.append(self._waiting.get_nowait())
            batch = [(answer, future) for answer, future in batch if future.set_running_or_notify_cancel()]
            try:
                grades = self._grader.grade_answers([answer for answer, _ in batch])
            except Exception as error:  # each caller that waits for it reports it
                for _, future in batch:
                    future.set_exception(error)
                continue
            for (_, future), grade in zip(batch, grades, strict=True):
                future.set_result(grade)


def grading_queue(scoring: str) -> GradingQueue:
    """This process's grading queue of a scoring spec, which is given as JSON (a key must be hashable)."""
    return _queue_of_process(os.getpid(), scoring)


@cache
def _queue_of_process(process: int, scoring: str) -> GradingQueue:
    """A fork of the process gets a queue of its own: the thread of the first one does not run there."""
    return GradingQueue(ScoringSpec.model_validate_json(scoring))
