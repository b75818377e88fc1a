"""Grading for trainers that ask for single answers, from many coroutines, threads or clients."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import cache, partial
from threading import Condition, RLock, Thread

from harness.adapters.waiting import Job, Waiting
from rewards.grader import Grader
from rewards.types import Answer, Grade
from tasks.spec import ScoringSpec

BATCH = 16
"""The most answers that one worker takes at once: more save time, but a slow one among them delays them."""
once = RLock()
"""Held while a queue is made or a task is read, so that many threads that begin at once share one."""
os.register_at_fork(before=once.acquire, after_in_parent=once.release, after_in_child=once.release)


class GradingQueue:
    """Grades the answers of all callers in this process, in turn among clients and calls.

    Each of the ``workers`` (0: one for each CPU) is a thread with a grader and a process of its own. So a
    slow answer holds up only the few that were taken with it. An answer that is already waiting or being
    graded is not graded again. A cancelled answer that no one else waits for is not graded.
    """

    def __init__(self, scoring: ScoringSpec, workers: int = 0) -> None:
        self._waiting = Waiting()
        self._jobs: dict[Answer, Job] = {}
        self._changed = Condition()
        self._closed = False
        count = workers or len(os.sched_getaffinity(0))
        self._graders = [Grader(scoring, workers=1) for _ in range(count)]
        self._progress = time.monotonic()
        """When an answer was last graded, or none was waiting."""
        self._threads = [Thread(target=self._work, args=(one,), daemon=True) for one in self._graders]
        for thread in self._threads:
            thread.start()

    def submit(self, answer: Answer) -> Future[Grade]:
        """The coming grade of one answer. Its result raises the error that the grader raised on it."""
        return self.submit_all([answer])[0]

    def submit_all(self, answers: Sequence[Answer], client: str = "") -> list[Future[Grade]]:
        """The coming grades of the answers of one call, in order. ``client``: whose turn it is on.

        Raises RuntimeError: the queue is closed.
        """
        futures: list[Future[Grade]] = [Future() for _ in answers]
        with self._changed:
            if self._closed:
                raise RuntimeError("the grading queue is closed")
            if not self._jobs:
                self._progress = time.monotonic()
            call = self._waiting.new_call()
            for answer, future in zip(answers, futures, strict=True):
                job = self._jobs.get(answer)
                if job is None:
                    job = self._jobs[answer] = Job(answer, client, call)
                    self._waiting.add(job)
                job.futures.append(future)
            self._changed.notify_all()
        for answer, future in zip(answers, futures, strict=True):
            future.add_done_callback(partial(self._leave, answer))
        return futures

    async def grade(self, answer: Answer, client: str = "") -> Grade:
        """The grade of one answer. Raises the error that the grader raised on it."""
        return await asyncio.wrap_future(self.submit_all([answer], client)[0])

    @property
    def waiting(self) -> int:
        """How many distinct answers have not been started."""
        return self._waiting.count

    @property
    def stalled(self) -> float:
        """Seconds for which answers have been there and none was graded; infinite if a thread has ended."""
        if not all(thread.is_alive() for thread in self._threads):
            return float("inf")
        with self._changed:
            return time.monotonic() - self._progress if self._jobs else 0.0

    def close(self) -> None:
        """End the workers; the answers that are left raise RuntimeError."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for grader, thread in zip(self._graders, self._threads, strict=True):
            while thread.is_alive():
                grader.close()
                thread.join(0.1)
            grader.close()  # which may have started a worker meanwhile
        for job in [*self._jobs.values()]:
            self._finish(job, RuntimeError("the grading queue was closed"))

    def _leave(self, answer: Answer, future: Future[Grade]) -> None:
        """Forget a cancelled answer, and its job if no one else waits for it and it has not been started."""
        if not future.cancelled():
            return
        with self._changed:
            job = self._jobs.get(answer)
            if job is None or future not in job.futures:
                return
            job.futures.remove(future)
            if not job.futures and self._waiting.remove(job):
                del self._jobs[answer]

    def _work(self, grader: Grader) -> None:
        while batch := self._take():
            try:
                grades: Sequence[Grade | Exception] = grader.grade_answers([job.answer for job in batch])
            except Exception as error:
                alone = len(batch) == 1 or self._closed
                grades = [error if alone else _grade_alone(grader, job.answer) for job in batch]
            for job, grade in zip(batch, grades, strict=True):
                self._finish(job, grade)

    def _take(self) -> list[Job]:
        """The next jobs, when there are some; empty once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting.count)
            share = -(-self._waiting.count // (2 * len(self._threads)))
            return [] if self._closed else self._waiting.take(min(BATCH, share))

    def _finish(self, job: Job, result: Grade | Exception) -> None:
        with self._changed:
            del self._jobs[job.answer]
            self._progress = time.monotonic()
        for future in job.futures:
            if future.set_running_or_notify_cancel():
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)


def _grade_alone(grader: Grader, answer: Answer) -> Grade | Exception:
    """The grade of an answer of a batch that failed, so that only the answer to blame fails."""
    try:
        return grader.grade_answers([answer])[0]
    except Exception as error:  # the caller that waits for it reports it
        return error


def grading_queue(scoring: str) -> GradingQueue:
    """This process's grading queue of a scoring spec, which is given as JSON (a key must be hashable)."""
    with once:
        return _queue_of_process(os.getpid(), scoring)


@cache
def _queue_of_process(process: int, scoring: str) -> GradingQueue:
    """A fork of the process gets a queue of its own: the threads of the first one do not run there."""
    return GradingQueue(ScoringSpec.model_validate_json(scoring))
