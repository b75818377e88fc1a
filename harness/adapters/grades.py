"""A grade as other trainers take it: the reward as a number, and the verdicts as metrics."""

from __future__ import annotations

from rewards.composite import matches_empty_gold
from rewards.types import Grade
from tasks.spec import ScoringSpec


def training_reward(grade: Grade) -> float:
    """The training reward, as in our own trainers.

    Raises RuntimeError: the answer is unscored, by a failure of our own, and must not count as 0.
    """
    value = grade.scores["reward"].value
    if value is None:
        raise RuntimeError(f"not scored: {grade.attempt.reason.value}: {grade.attempt.detail}")
    return float(value)


def evaluation_reward(grade: Grade, scoring: ScoringSpec) -> float:
    """The training reward, and 1 where a right answer has none because neither it nor the gold returns rows.

    Evaluations count such an answer as correct. Raises RuntimeError: the answer is unscored.
    """
    return 1.0 if matches_empty_gold(grade.attempt, scoring.metric) else training_reward(grade)


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
