"""A grade as other trainers take it: the reward as a number, and the verdicts as metrics."""

from __future__ import annotations

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
