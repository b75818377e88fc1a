"""A reward of one's own: right answers earn 1, less a little for every table beyond those of the gold.

Used by ``scoring.reward: short_reward:FewTables`` and ``--trust-task``, with this folder on PYTHONPATH. A
reward is a class made without arguments: an ``Attempt`` (``rewards/types.py``) in, a ``Score`` out. ``value``
None is "not scored": the answer's group is left out of the loss.
"""

from dataclasses import dataclass

from rewards.composite import paid
from rewards.scorers import is_correct
from rewards.types import Attempt, Score
from tasks.types import Mode


@dataclass(frozen=True)
class FewTables:
    """Frozen, so that its ``repr`` says in the run's record what was paid."""

    each: float = 0.1

    def __call__(self, attempt: Attempt) -> Score:
        right = float(is_correct(attempt, Mode.STRICT))
        joins = attempt.sql.upper().count(" JOIN ")
        parts = {"correct": right, "joins": -min(0.5, self.each * joins) * right}
        return paid(attempt, Mode.STRICT, sum(parts.values()), parts)
