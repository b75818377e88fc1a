"""A grade as other trainers take it: the reward as a number, and the verdicts as metrics."""

from __future__ import annotations

from rewards.composite import matches_empty_gold
from rewards.types import Grade
from tasks.spec import ScoringSpec


def reward(grade: Grade, scoring: ScoringSpec, training: bool) -> float | None:
    """The composite reward; None: the answer is unscored, by a failure of our own, and must not count as 0.

    In training a right answer has none where neither it nor the gold returns rows, because any query without
    rows would be right. An evaluation counts it: 1.
    """
    if not training and matches_empty_gold(grade.attempt, scoring.metric):
        return 1.0
    return grade.scores["reward"].value


def scored_reward(grade: Grade, scoring: ScoringSpec, training: bool) -> float:
    """The composite reward. Raises RuntimeError: the answer is unscored."""
    value = reward(grade, scoring, training)
    if value is None:
        raise RuntimeError(f"not scored: {grade.attempt.reason.value}: {grade.attempt.detail}")
    return value


def metrics(grade: Grade, scoring: ScoringSpec) -> dict[str, float | None]:
    """``execution_accuracy`` (the verdict in the headline mode) and the verdict in each mode of the task.

    The names are the same for every grade of a task; a value is None where it is unscored.
    """
    modes = dict.fromkeys((*scoring.modes, scoring.metric))
    verdicts = grade.attempt.verdicts
    return {
        "execution_accuracy": verdicts.get(scoring.metric),
        **{mode.value: verdicts.get(mode) for mode in modes},
    }
