"""Grade answers in batches: extract the SQL, have the sandbox's workers judge it, apply every scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from rewards import gold_cache
from rewards.composite import SCORERS
from rewards.extract import extract
from rewards.presets import reward_scorer
from rewards.types import Answer, Attempt, Flag, Grade, JudgeJob, JudgeSettings, Packed, Reason
from rewards.version import code_version
from tasks.common.home import home
from tasks.databases.sandbox.pool import CRASHED, OVERDUE, Sandbox
from tasks.databases.sandbox.worker import EXHAUSTED
from tasks.databases.sql_text import MAX_CHARACTERS
from tasks.databases.state import stamped
from tasks.security import SecuritySpec
from tasks.spec import ScoringSpec
from tasks.types import RESULT_MODES, Pool, Sample, Workers

if TYPE_CHECKING:
    from tasks.task import Task

WORK = "rewards.judge:judge"
"""The function that the sandbox's workers call."""
_FAULTS: Mapping[str, tuple[Reason, str]] = {
    OVERDUE: (Reason.TIMEOUT, "no verdict within the deadline"),
    CRASHED: (Reason.EXECUTION_ERROR, "comparing the result crashed the worker twice"),
    EXHAUSTED: (Reason.MEMORY, "no memory was left to compare the result"),
}
"""Failures of a worker that the answer caused -> reason and detail of the answer, which counts as wrong."""

_MAX_KNOWN = 100_000
"""Questions of which a grader knows the longest execution; callers may bring golds without end."""


class Grader:
    """Grades answers by one scoring spec. Workers start on first use; use as a context manager, or ``close``.

    ``workers``: see ``tasks.types.Workers``. ``structure`` False leaves out the comparison of syntax trees,
    and with it the scores ``structure`` and ``reward``, for callers that need verdicts only. ``digests`` and
    ``ties_at_limit`` fill in the attempt's fields ``result_digest`` and ``ties_at_limit``.
    Raises SpecError where the spec's reward cannot be made.
    """

    def __init__(
        self,
        scoring: ScoringSpec,
        workers: Workers = 0,
        structure: bool = True,
        digests: bool = False,
        ties_at_limit: bool = False,
    ) -> None:
        self._settings = JudgeSettings(
            modes=tuple(dict.fromkeys((*scoring.modes, scoring.metric))),
            metric=scoring.metric,
            instances=scoring.instances,
            structure=structure and scoring.metric not in RESULT_MODES,
            digests=digests,
            preview_rows=scoring.feedback_rows,
            constructs=_constructs(scoring) if structure else (),
            ties_at_limit=ties_at_limit,
            security=_security(scoring) if structure else None,
            gold_cache=str(home() / f"gold-{code_version()}"),
        )
        self._scorers = {name: make(scoring.metric) for name, make in SCORERS.items()}
        self._scorers["reward"] = reward_scorer(scoring)
        if self._settings.security is None:
            del self._scorers["security"]
        if not structure:
            del self._scorers["structure"], self._scorers["reward"]
        self._reads_text = structure and (scoring.terms is not None or ":" in scoring.reward)
        limits = scoring.limits()
        self._pool: Pool = workers(limits) if callable(workers) else Sandbox(workers, limits)
        self._seconds: dict[tuple[str, tuple[str, ...]], float] = {}
        """Longest execution so far of an answer to a question: slow questions start first."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        self._pool.close()

    def grade(self, task: Task, samples: Sequence[Sample], texts: Sequence[str]) -> list[Grade]:
        """The grade of each text as an answer to the sample at the same place, in order."""
        pairs = zip(samples, texts, strict=True)
        return self.grade_answers(
            [Answer(task.database(sample), sample.gold, text) for sample, text in pairs]
        )

    def grade_answers(self, answers: Sequence[Answer]) -> list[Grade]:
        """The grade of each answer, in order. Identical answers are judged once.

        SQL that is longer than any engine accepts is cut before it is sent to the workers; they reject it.
        """
        databases = {database: stamped(database) for database in {answer.database for answer in answers}}
        jobs = [
            JudgeJob(
                databases[answer.database],
                answer.gold,
                extract(answer.text)[: MAX_CHARACTERS + 1],
                self._settings,
            )
            for answer in answers
        ]
        numbers: dict[JudgeJob, int] = {}
        places = [numbers.setdefault(job, len(numbers)) for job in jobs]
        grades = self._grades(list(numbers))
        return [
            self._with_text(grades[place], answer.text) for place, answer in zip(places, answers, strict=True)
        ]

    def _with_text(self, grade: Grade, text: str) -> Grade:
        """The grade with the reward of this text, where the reward reads more of it than the SQL."""
        if not self._reads_text:
            return grade
        attempt = replace(grade.attempt, text=text)
        return Grade(attempt, {**grade.scores, "reward": self._scorers["reward"](attempt)})

    def _grades(self, jobs: Sequence[JudgeJob]) -> dict[int, Grade]:
        """The grade of each job, by its index. Scorers run here while the workers go on."""
        questions = [(job.database.id, job.gold) for job in jobs]
        costs = [self._seconds.get(question, 0.001) for question in questions]
        grades = {}
        for index, result in self._pool.map(WORK, [tuple(job) for job in jobs], costs):
            if isinstance(result, tuple) and (new_files := result[1]):
                gold_cache.write(self._settings.gold_cache, new_files)
            attempt = attempt_of(jobs[index], result)
            if len(self._seconds) >= _MAX_KNOWN:
                self._seconds.clear()
            self._seconds[questions[index]] = max(costs[index], attempt.seconds)
            grades[index] = Grade(attempt, {name: scorer(attempt) for name, scorer in self._scorers.items()})
        return grades


def attempt_of(job: JudgeJob, result: Packed | str | None) -> Attempt:
    """The attempt of a job, from the sandbox's result.

    The result is what ``judge`` returned; or one of ``sandbox.pool.FAULTS`` if the answer used up the time or
    memory of the worker or crashed it; or None if the worker was lost at a gold or stopped from outside.
    """
    if isinstance(result, tuple):
        reason, *fields = result[0]
        return Attempt(job.sql, Reason(reason), *fields)
    reason, detail = _FAULTS[result] if result else (Reason.INFRASTRUCTURE, "the worker was lost")
    value = 0.0 if result else None
    flags = (Flag.HEAVY.value,) if job.settings.security and result else None
    return Attempt(job.sql, reason, dict.fromkeys(job.settings.modes, value), detail, flags=flags)


def _security(scoring: ScoringSpec) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The tables that ``scoring.security`` allows and denies; None where no security flags are asked for."""
    if scoring.security is None and not scoring.weights.get("security"):
        return None
    tables = (scoring.security or SecuritySpec()).tables
    return tables.allowed, tables.denied


def _constructs(scoring: ScoringSpec) -> tuple[str, ...]:
    """The constructs for which ``scoring.terms.forbidden`` lowers an answer's reward."""
    forbidden = scoring.terms.forbidden if scoring.terms else None
    return forbidden.constructs if forbidden and forbidden.weight else ()
