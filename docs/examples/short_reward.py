"""A custom reward: a correct answer gets 1, less 0.1 for each JOIN up to five.

Used by ``scoring.reward: short_reward:FewTables`` and ``--trust-task``, with this folder on PYTHONPATH. A
custom reward is a class that is made without arguments. Its objects take an ``Attempt`` and return a
``Score`` (``rewards/types.py``). ``value`` None is unscored: the answer's group is left out of the loss.
"""

from dataclasses import dataclass

from rewards.composite import composite_score, is_correct
from rewards.types import Attempt, Score
from tasks.types import Mode


@dataclass(frozen=True)
class FewTables:
    """Frozen: its ``repr`` is part of the run's record."""

    each: float = 0.1

    def __call__(self, attempt: Attempt) -> Score:
        correct = float(is_correct(attempt, Mode.STRICT))
        joins = attempt.sql.upper().count(" JOIN ")
        parts = {"correct": correct, "joins": -min(0.5, self.each * joins) * correct}
        return composite_score(attempt, Mode.STRICT, sum(parts.values()), parts)
