"""The plan of a training in a terminal: what each stage needs, beside what the machine has."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from harness.training.plan import Plans, Stage, size_text
from runners.training.config import GrpoConfig

LABELS = {
    "base": "the model's weights",
    "trained": "gradients, optimizer, adapters",
    "reference": "reference model",
    "sampling": "sampling: keys and values",
    "learning": "learning: activations",
    "vllm": "vLLM",
    "device": "the device's own",
}
ROWS = (
    "a step",
    "of them in each process",
    "longest prompt + answer",
    *LABELS.values(),
    "peak of a process",
    "sampling, a step",
    "learning, a step",
    "an hour",
)


def render_plans(plans: Plans) -> RenderableType:
    """One column for each stage, then the assumptions."""
    table = Table("predicted", *plans.stages, box=None)
    columns = {name: _cells(stage) for name, stage in plans.stages.items()}
    for label in sorted({label for cells in columns.values() for label in cells}, key=ROWS.index):
        table.add_row(label, *(cells.get(label, "") for cells in columns.values()))
    return Group(table, Padding(_notes(plans), (1, 1, 0, 1)))


def _cells(stage: Stage) -> dict[str, str]:
    """Label of a row -> what it shows of this stage."""
    config, plan = stage.config, stage.plan
    each = f" x {config.group_size} answers" if isinstance(config, GrpoConfig) else ""
    unit = "questions" if each else "rows"
    memory = {LABELS[part]: size_text(size) for part, size in plan.memory.items() if size}
    seconds = {f"{phase}, a step": f"{value:.1f} s" for phase, value in plan.seconds.items()}
    return {
        "a step": f"{config.items_per_step} {unit}{each}",
        "of them in each process": f"{plan.own}, {plan.own // plan.passes} at a time",
        "longest prompt + answer": f"{stage.prompt:,} + {stage.answer:,} tokens",
        **memory,
        "peak of a process": f"[b]{size_text(plan.peak)}[/b]",
        **seconds,
        **({"an hour": f"{stage.hourly:,.0f} {unit}"} if seconds else {}),
    }


def _notes(plans: Plans) -> str:
    machine, processes = plans.machine, plans.processes
    device = "a GPU" if machine.gpu else "this machine"
    if processes > 1:
        device = "a GPU each" if machine.gpu else f"this machine, a part for each of {processes}"
    notes = [f"There are {size_text(machine.memory)}: {device}."]
    if processes > 1:
        sharded = any(stage.config.sharding == "fsdp2" for stage in plans.stages.values())
        held = "optimizer and float32 weights are sharded" if sharded else "each holds all of the model"
        notes.append(f"Processes share a step; {held}.")
    notes.append("Of sampling and learning the larger counts; every prompt is taken to be the longest.")
    if not machine.flops:
        notes.append("Time is predicted where a recipe says what its machine can do.")
    return "\n".join(notes)
