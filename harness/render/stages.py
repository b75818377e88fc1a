"""The results of trained stages in a terminal, for trainings without evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from harness.training.stages import Finished


def render_finished(finished: Finished) -> Group:
    """One line for each stage, and the next command; lines are not wrapped, so that it can be copied."""
    lines = [f"{stage['model']}: {_result(stage)}" for stage in finished.stages]
    return Group(
        *(Text(line, no_wrap=True, overflow="ignore") for line in [*lines, f"next: {finished.next}"])
    )


def _result(stage: Mapping[str, Any]) -> str:
    figures = [f"{name} {stage[name]:.3f}" for name in ("reward", "loss") if stage.get(name) is not None]
    best = f"the weights of step {stage['best_step']}" if stage["best_step"] != stage["steps"] else ""
    dev = f"EX {stage['best']:.1%} on dev" if stage["best"] is not None else ""
    steps = f"{stage['method']}, {stage['steps']} steps"
    return ", ".join(filter(None, [steps, *figures, best, dev]))
