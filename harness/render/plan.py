"""The plan of a training in a terminal: the memory and time that each stage needs, and the machine."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.training.plan import Plans, StagePlan, size_text
from runners.training.config import GrpoConfig

LABELS = {
    "base": "the model's weights",
    "trained": "optimizer, adapters",
    "gradients": "gradients",
    "reference": "reference model",
    "sampling": "sampling: keys and values",
    "learning": "learning: activations",
    "saving": "merging: the base",
    "vllm": "vLLM",
    "device": "device overhead",
}
ROWS = (
    "a step",
    "in each process",
    "longest prompt + answer",
    *LABELS.values(),
    "peak of a process",
    *(f"{phase}, a step" for phase in ("sampling", "scoring", "learning", "network")),
    "an hour",
)


def render_plans(plans: Plans) -> RenderableType:
    """A table with a column for each stage, then the assumptions of the prediction."""
    table = Table("predicted", *plans.stages, box=None)
    columns = {name: _cells(stage) for name, stage in plans.stages.items()}
    for label in sorted({label for cells in columns.values() for label in cells}, key=ROWS.index):
        table.add_row(label, *(cells.get(label, "") for cells in columns.values()))
    return Group(table, Padding(_notes(plans), (1, 1, 0, 1)))


def _cells(stage: StagePlan) -> dict[str, str | Text]:
    """Label of a row -> the cell of this stage."""
    config, plan = stage.config, stage.plan
    answers = f" x {config.group_size} answers" if isinstance(config, GrpoConfig) else ""
    unit = "questions" if answers else "rows"
    memory = {LABELS[part]: size_text(size) for part, size in plan.memory.items() if size}
    seconds = {f"{phase}, a step": f"{value:.1f} s" for phase, value in plan.seconds.items()}
    return {
        "a step": f"{config.items_per_step} {unit}{answers}",
        "in each process": f"{plan.own}, {plan.own // plan.passes} at a time",
        "longest prompt + answer": f"{stage.prompt:,} + {stage.answer:,} tokens",
        **memory,
        "peak of a process": Text(size_text(plan.peak), "bold"),
        **seconds,
        **({"an hour": f"{stage.hourly:,.0f} {unit}"} if seconds else {}),
    }


def _notes(plans: Plans) -> str:
    machine, processes = plans.machine, plans.processes
    device = "one GPU" if machine.gpu else "this machine"
    if processes > 1:
        device = "one GPU each" if machine.gpu else f"this machine, divided among {processes} processes"
    notes = [f"Available to each process: {size_text(machine.memory)} ({device})."]
    if processes > 1:
        sharded = any(stage.config.sharding == "fsdp2" for stage in plans.stages.values())
        storage = "optimizer and float32 weights are sharded" if sharded else "each holds all of the model"
        notes.append(f"Processes share a step; {storage}.")
    notes.append(
        "The peak counts the larger of sampling and learning, and takes every prompt to be the longest."
    )
    if not machine.flops:
        notes.append(
            "Time is not predicted: set --recipe to one that describes a machine (flops, bandwidth)."
        )
    return "\n".join(notes)
