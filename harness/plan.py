"""``harness train --plan``: what each stage will need, predicted before anything is loaded; recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table

from harness import rows
from harness.spec import TrainSpec
from tasks.errors import ModelError, SpecError, nearest
from tasks.parse import read_yaml
from tasks.task import Task

if TYPE_CHECKING:
    from runners.plan import Plan

RECIPES = Path(__file__).parent / "recipes"
LOOKED_AT = 500
"""Questions whose prompts are measured."""
GB = 1e9


@dataclass(frozen=True, slots=True)
class Machine:
    """What a plan is held against. ``flops`` and ``bandwidth`` 0: no time is predicted."""

    memory: float
    gpu: bool
    flops: float = 0.0
    bandwidth: float = 0.0


@dataclass(frozen=True, slots=True)
class Plans:
    """The plan of each stage, by method, and the machine."""

    stages: Mapping[str, Plan]
    machine: Machine

    def as_dict(self) -> dict[str, Any]:
        """Bytes and seconds, all predicted."""
        return {
            "machine": {"memory": self.machine.memory, "gpu": self.machine.gpu},
            "predicted": {
                name: {"peak": one.peak, "memory": one.memory, "seconds_a_step": one.seconds}
                for name, one in self.stages.items()
            },
        }

    def __rich__(self) -> RenderableType:
        table = Table("predicted", *self.stages, box=None, title_justify="left")
        for part in next(iter(self.stages.values())).memory:
            table.add_row(f"{part}, GB", *(f"{one.memory[part] / GB:.2f}" for one in self.stages.values()))
        table.add_row("peak, GB", *(f"[b]{one.peak / GB:.2f}[/b]" for one in self.stages.values()))
        table.add_row("there is, GB", f"{self.machine.memory / GB:.2f}")
        for phase in ("sampling", "learning") if self.machine.flops else ():
            seconds = (one.seconds.get(phase, 0.0) for one in self.stages.values())
            table.add_row(f"{phase}, s a step", *(f"{value:.1f}" for value in seconds))
        return table

    def refuse(self) -> None:
        """Raise ModelError where a stage does not fit, naming what to set."""
        for method, one in self.stages.items():
            if one.peak > self.machine.memory:
                raise ModelError(
                    f"{method} needs about {one.peak / GB:.1f} GB (predicted) and there are"
                    f" {self.machine.memory / GB:.1f}: {_remedy(method, one, self.machine.memory)}"
                )


def _remedy(method: str, plan: Plan, memory: float) -> str:
    if plan.static > memory:
        return "set train.lora.four_bit=true and a smaller train.lora.r, or take a smaller model"
    if plan.memory["sampling"] > plan.memory["learning"]:
        return "lower train.prompts_per_step"
    less = "micro_groups" if method == "grpo" else "micro_batch"
    return f"lower train.{less}, or set train.gradient_checkpointing=true"


def recipe(name: str) -> dict[str, Any]:
    """A recipe that ships, or a YAML file. Raises SpecError: no such recipe."""
    path = RECIPES / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        known = [one.stem for one in RECIPES.glob("*.yaml")]
        raise SpecError(f"--recipe: no recipe '{name}': {nearest(name, known)}")
    return read_yaml(path)


def machine(found: Mapping[str, Any] | None = None) -> Machine:
    """A recipe's machine, else this one."""
    from runners import models

    if found:
        return Machine(float(found["memory"]) * GB, True, float(found["flops"]), float(found["bandwidth"]))
    return Machine(models.memory(), models.device() == "cuda")


def plans(model: str, specs: Sequence[TrainSpec], overrides: Sequence[str], on: Machine) -> Plans:
    """Predict every stage of a training of this model (a name whose configuration is at hand)."""
    from runners.models import config_of, resolve
    from runners.plan import Load, plan, shape

    sizes = shape(config_of(resolve(model)))
    found: dict[str, Plan] = {}
    for spec in specs:
        prompt, answer = _lengths(model, spec, Task.named(spec.task, overrides))
        load = Load(prompt, answer, on.gpu, on.flops, on.bandwidth)
        found[spec.method] = plan(sizes, spec.config, load)
    return Plans(found, on)


def _lengths(model: str, spec: TrainSpec, task: Task) -> tuple[int, int]:
    """Tokens of the longest prompt looked at, and of the longest answer."""
    from runners.models import load_tokenizer, resolve

    samples = rows.questions(spec, task)[:LOOKED_AT]
    tokenizer = load_tokenizer(resolve(model))
    messages = [list(task.messages(sample)) for sample in samples]
    encoded = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)[
        "input_ids"
    ]
    prompt = max(map(len, encoded), default=0)
    if spec.method == "grpo":
        return prompt, spec.grpo.max_new_tokens * spec.grpo.max_turns
    return prompt, max((len(tokenizer(sample.gold[0])["input_ids"]) for sample in samples), default=0)
