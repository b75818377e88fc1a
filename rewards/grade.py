"""Grade answers in batches: read the SQL, judge it in the sandbox, let every scorer read the attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from rewards import golds
from rewards.attempt import WORK, Job, Rules, attempt_of
from rewards.extract import extract
from rewards.presets import reward
from rewards.scorers import SCORERS
from rewards.types import Answer, Attempt, Grade
from tasks.databases.sandbox import Sandbox
from tasks.databases.statements import MOST_CHARACTERS
from tasks.spec import ScoringSpec, home

SCORER_VERSION = "1"
"""Changes when any score of any answer can change: runs of different versions are never ranked together."""


class Grader:
    """Grades answers by one scoring spec. Workers start on first use; use as a context manager, or ``close``.

    ``workers`` 0: one for each CPU. ``structure`` False leaves out the comparison of syntax trees, and with
    it the scores ``structure`` and ``reward``, for callers that only want verdicts. ``digests`` notes in each
    attempt what was returned, for votes. Raises SpecError where the spec's reward cannot be made.
    """

    def __init__(
        self, scoring: ScoringSpec, workers: int = 0, structure: bool = True, digests: bool = False
    ) -> None:
        modes = tuple(dict.fromkeys((*scoring.modes, scoring.metric)))
        self._rules = Rules(
            modes, scoring.metric, scoring.instances, structure, digests, golds=str(home() / "gold")
        )
        self._scorers = {name: make(scoring.metric) for name, make in SCORERS.items()}
        self._scorers["reward"] = reward(scoring)
        if not structure:
            del self._scorers["structure"], self._scorers["reward"]
        self._sandbox = Sandbox(workers, scoring.limits())
        self._seconds: dict[tuple[str, tuple[str, ...]], float] = {}
        """Longest execution seen for a question: slow questions start first."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        self._sandbox.close()

    def grade(self, answers: Sequence[Answer]) -> list[Grade]:
        """The grade of each answer, in order. Identical answers are judged once.

        Of SQL that is longer than any engine is shown, no more travels to the workers than says so.
        """
        jobs = [
            Job(answer.database, answer.gold, extract(answer.text)[: MOST_CHARACTERS + 1], self._rules)
            for answer in answers
        ]
        distinct = list(dict.fromkeys(jobs))
        attempts = self._judge(distinct)
        grades = {
            job: Grade(attempt, {name: scorer(attempt) for name, scorer in self._scorers.items()})
            for job, attempt in attempts.items()
        }
        return [grades[job] for job in jobs]

    def _judge(self, jobs: Sequence[Job]) -> dict[Job, Attempt]:
        costs = [self._seconds.get((job.database.id, job.gold), 0.001) for job in jobs]
        attempts = {}
        for index, result in self._sandbox.map(WORK, jobs, costs):
            job = jobs[index]
            if isinstance(result, dict):
                golds.write(job.rules.golds, result["kept"])
            attempts[job] = attempt = attempt_of(job, result)
            question = (job.database.id, job.gold)
            self._seconds[question] = max(self._seconds.get(question, 0.001), attempt.seconds)
        return attempts
