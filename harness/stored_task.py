"""The task of a stored run, by the spec that the run holds."""

from __future__ import annotations

from leaderboards.types import Run
from tasks.common.errors import SpecError
from tasks.common.named_code import refuse_untrusted
from tasks.common.parse import parse
from tasks.spec import TaskSpec


def stored_task(run: Run, trust: bool, with_reward: bool = True) -> TaskSpec:
    """The spec of a run's task. ``with_reward``: its custom reward will run too, if it has one.

    Raises SpecError: the run holds none, this version cannot read it, or it names code that is not trusted.
    """
    stored = run.spec.get("task")
    if not isinstance(stored, dict):
        raise SpecError(f"run {run.id} did not store its task: evaluate again")
    spec = parse(TaskSpec, stored, where=f"task of run {run.id}")
    code = spec.code()
    if not with_reward:
        code.pop("scoring.reward", None)
    if not trust:
        refuse_untrusted(code, f"task of run {run.id}")
    return spec
