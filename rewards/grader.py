"""Grade answers in batches: read the SQL, judge it in the sandbox, let every scorer read the attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from rewards import gold_cache
from rewards.attempt import WORK, Job, Rules, attempt_of
from rewards.extract import extract
from rewards.presets import reward_scorer
from rewards.scorers import SCORERS
from rewards.types import Answer, Grade
from rewards.version import code_version
from tasks.common.home import home
from tasks.databases.sandbox.pool import Sandbox
from tasks.databases.sql_text import MAX_CHARACTERS
from tasks.databases.state import stamped
from tasks.spec import ScoringSpec
from tasks.types import Sample

if TYPE_CHECKING:
    from tasks.task import Task


class Grader:
    """Grades answers by one scoring spec. Workers start on first use; use as a context manager, or ``close``.

    ``workers`` 0: one for each CPU. ``structure`` False leaves out the comparison of syntax trees, and with
    it the scores ``structure`` and ``reward``, for callers that only want verdicts. ``digests`` notes in each
    attempt what was returned, for votes, and ``cuts`` whether the gold's LIMIT cuts through rows that tie.
    Raises SpecError where the spec's reward cannot be made.
    """

    def __init__(
        self,
        scoring: ScoringSpec,
        workers: int = 0,
        structure: bool = True,
        digests: bool = False,
        cuts: bool = False,
    ) -> None:
        modes = tuple(dict.fromkeys((*scoring.modes, scoring.metric)))
        self._rules = Rules(
            modes,
            scoring.metric,
            scoring.instances,
            structure,
            digests,
            scoring.feedback_rows,
            _constructs(scoring) if structure else (),
            cuts,
            str(home() / f"gold-{code_version()}"),
        )
        self._scorers = {name: make(scoring.metric) for name, make in SCORERS.items()}
        self._scorers["reward"] = reward_scorer(scoring)
        if not structure:
            del self._scorers["structure"], self._scorers["reward"]
        self._reads_text = structure and (scoring.terms is not None or ":" in scoring.reward)
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
        databases = {one: stamped(one) for one in {answer.database for answer in answers}}
        jobs = [
            Job(
                databases[answer.database],
                answer.gold,
                extract(answer.text)[: MAX_CHARACTERS + 1],
                self._rules,
            )
            for answer in answers
        ]
        numbers: dict[Job, int] = {}
        places = [numbers.setdefault(job, len(numbers)) for job in jobs]
        grades = self._grades(list(numbers))
        return [self._read(grades[place], answer) for place, answer in zip(places, answers, strict=True)]

    def _read(self, grade: Grade, answer: Answer) -> Grade:
        """The grade, with what the reward makes of the text where it reads that."""
        if not self._reads_text:
            return grade
        attempt = replace(grade.attempt, text=answer.text)
        return Grade(attempt, {**grade.scores, "reward": self._scorers["reward"](attempt)})

    def _grades(self, jobs: Sequence[Job]) -> dict[int, Grade]:
        """The grade of each job, by its index. Scorers read an attempt while the workers go on."""
        questions = [(job.database.id, job.gold) for job in jobs]
        costs = [self._seconds.get(question, 0.001) for question in questions]
        grades = {}
        for index, result in self._sandbox.map(WORK, jobs, costs):
            if isinstance(result, dict):
                gold_cache.write(self._rules.golds, result["kept"])
            attempt = attempt_of(jobs[index], result)
            self._seconds[questions[index]] = max(costs[index], attempt.seconds)
            grades[index] = Grade(attempt, {name: scorer(attempt) for name, scorer in self._scorers.items()})
        return grades


def _constructs(scoring: ScoringSpec) -> tuple[str, ...]:
    """The constructs that cost an answer something."""
    forbidden = scoring.terms.forbidden if scoring.terms else None
    return forbidden.constructs if forbidden and forbidden.weight else ()
