"""Grades that are compared between a cluster and this machine."""

from __future__ import annotations

from rewards.grader import Grader
from rewards.types import Answer, Grade
from tasks.spec import ScoringSpec
from tasks.types import Workers


def graded(scoring: ScoringSpec, workers: Workers, answers: list[Answer]) -> list[tuple[object, ...]]:
    """What may not depend on where the answers are scored: all but times."""
    with Grader(scoring, workers) as grader:
        return [facts(grade) for grade in grader.grade_answers(answers)]


def facts(grade: Grade) -> tuple[object, ...]:
    attempt = grade.attempt
    scores = {name: (score.value, score.reason) for name, score in grade.scores.items()}
    return (
        attempt.sql,
        attempt.reason,
        attempt.verdicts,
        attempt.detail,
        attempt.rows,
        attempt.steps,
        scores,
    )
