"""What would end a training later is found out before its first minute: every stage is looked at up front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.instances import prepare
from harness.spec import TrainSpec
from harness.training import rows
from harness.training.train import grader_of, trainer_score
from tasks.task import Task


def check(spec: TrainSpec, overrides: Sequence[str], model: str, workers: int) -> None:
    """Raise the HarnessError that training ``model``, or one of its shape, by this spec would end with.

    Looks at rows, lengths, memory, template and adapter, and pays the gold answers of a few questions.
    """
    from runners.training import grpo, sft

    task = Task.named(spec.task, overrides, spec.trust)
    samples = rows.questions(spec, task)
    shown: Sequence[Any] = rows.shown(spec, task, samples)
    if spec.method == "sft":
        sft.check(model, shown, spec.sft)
        return
    grpo.check(model, shown, spec.grpo)
    prepare(task, samples)
    with grader_of(task, workers) as grader:
        grpo.rehearse(shown, trainer_score(task, grader))
