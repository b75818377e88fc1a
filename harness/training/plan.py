"""``harness train --plan``: predict the memory and time of each stage before weights are loaded; recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from harness.spec import TrainSpec
from harness.training import rows
from runners.training.config import GrpoConfig, SftConfig
from runners.types import TrainingExample
from tasks.common.errors import ModelError, SpecError, nearest
from tasks.common.parse import Spec, parse, read_yaml
from tasks.task import Task
from tasks.types import Sample

if TYPE_CHECKING:
    from runners.training.plan import Plan

RECIPES = Path(__file__).parent / "recipes"
MEASURED_QUESTIONS = 500
"""Questions whose prompts are measured."""
GB = 1e9


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine offers to each process. With ``flops`` and ``bandwidth`` 0 no time is predicted."""

    memory: float
    """Bytes."""
    gpu: bool
    flops: float = 0.0
    """Peak operations per second."""
    bandwidth: float = 0.0
    """Bytes per second."""
    few: float = 0.0
    """Operations per second of products with few rows; 0: as of large ones."""
    unpacking: float = 0.0
    """4-bit weights per second that are converted for a product; 0: the conversion is not counted."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """The prediction for one stage, with the settings and lengths that it follows from."""

    config: SftConfig | GrpoConfig
    prompt: int
    """Tokens of the longest of the measured prompts."""
    answer: int
    """Tokens of the longest answer: in SFT the longest target, in GRPO the token limit of all turns."""
    plan: Plan

    @property
    def hourly(self) -> float:
        """Rows or questions that all processes learn from in an hour; 0 if no time is predicted."""
        seconds = sum(self.plan.seconds.values())
        return self.config.items_per_step * 3600 / seconds if seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``: bytes, tokens and seconds."""
        return {
            "peak": self.plan.peak,
            "memory": self.plan.memory,
            "seconds_a_step": self.plan.seconds,
            "an_hour": self.hourly,
            "a_step": {"all": self.config.items_per_step, "each": self.plan.own, "passes": self.plan.passes},
            "tokens": {"prompt": self.prompt, "answer": self.answer},
        }


@dataclass(frozen=True, slots=True)
class Plans:
    """The plan of each stage, by method, the machine, and how many processes train."""

    stages: Mapping[str, StagePlan]
    machine: Machine
    processes: int = 1

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``: the machine, and the prediction for each stage in bytes and seconds."""
        return {
            "machine": {"memory": self.machine.memory, "gpu": self.machine.gpu},
            "processes": self.processes,
            "predicted": {method: stage.as_dict() for method, stage in self.stages.items()},
        }

    def refuse(self) -> None:
        """Raise ModelError where a stage does not fit the memory; the message names what to set."""
        for method, stage in self.stages.items():
            if stage.plan.peak > self.machine.memory:
                each = " in each process" if self.processes > 1 else ""
                raise ModelError(
                    f"{method} needs about {size_text(stage.plan.peak)}{each} (predicted) and there are"
                    f" {size_text(self.machine.memory)}: {_remedy(stage, self.machine.memory)}"
                )


def size_text(size: float) -> str:
    """A number of bytes in GB or MB."""
    return f"{size / GB:,.1f} GB" if size >= GB / 2 else f"{size / 1e6:,.0f} MB"


def _remedy(stage: StagePlan, memory: float) -> str:
    from runners.training.plan import smaller_settings

    config, plan = stage.config, stage.plan
    if plan.static > memory:
        return smaller_settings(config)
    if plan.memory["vllm"] or plan.memory["sampling"] > plan.memory["learning"]:
        vllm = isinstance(config, GrpoConfig) and config.vllm
        return "lower train.vllm.gpu_memory" if vllm else "lower train.prompts_per_step"
    settings = [] if config.gradient_checkpointing else ["set train.gradient_checkpointing=true"]
    if plan.own > plan.passes:
        settings.append(f"lower train.{'micro_groups' if isinstance(config, GrpoConfig) else 'micro_batch'}")
    return ", or ".join(settings or ["show less of the schema (prompt.schema)"])


def recipe(name: str) -> dict[str, Any]:
    """Read a shipped recipe, or a YAML file. Raises SpecError: no such recipe."""
    path = RECIPES / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        names = [file.stem for file in RECIPES.glob("*.yaml")]
        raise SpecError(f"--recipe: no recipe '{name}': {nearest(name, names)}")
    return read_yaml(path)


class DescribedMachine(Spec):
    """The GPU of a recipe."""

    memory: float = Field(gt=0)
    """GB."""
    flops: float = Field(gt=0)
    """Peak operations per second, in bfloat16."""
    bandwidth: float = Field(gt=0)
    """Bytes per second."""


def described_machine(recipe_name: str) -> DescribedMachine | None:
    """The GPU that a recipe describes; None if it describes none, or no recipe is named. Raises SpecError."""
    described = recipe(recipe_name).get("machine") if recipe_name else None
    return None if described is None else parse(DescribedMachine, described, where="--recipe machine")


def machine(described: DescribedMachine | None, count: int) -> Machine:
    """The share of one of ``count`` processes: a GPU of the described machine, else a part of this one."""
    from runners.weights import loading

    if described:
        return Machine(described.memory * GB, True, described.flops, described.bandwidth)
    gpu = loading.device() == "cuda"
    return Machine(loading.memory() / (1 if gpu else count), gpu)


def plans(
    model: str, specs: Sequence[TrainSpec], overrides: Sequence[str], host: Machine, count: int
) -> Plans:
    """Predict every stage of a training of this model; reads its configuration and tokenizer only.

    The speed of a CPU is measured, which takes a second.

    Raises ModelError: a step that cannot be divided among ``count`` processes.
    """
    from runners.training.plan import Workload, model_shape, plan
    from runners.training.speed import machine_speed
    from runners.weights.loading import config_of
    from runners.weights.source import resolve

    sizes = model_shape(config_of(resolve(model, weights=False)))
    if not host.gpu:
        four_bit = any(spec.config.lora and spec.config.lora.four_bit for spec in specs)
        host = replace(host, **asdict(machine_speed(sizes, four_bit)))
    stages: dict[str, StagePlan] = {}
    for spec in specs:
        task = Task.named(spec.task, overrides, spec.trust)
        prompt, answer = lengths(model, spec, task, rows.questions(spec, task))
        workload = Workload(
            *(prompt, answer, host.gpu, host.memory, count),
            *(host.flops, host.bandwidth, host.few, host.unpacking),
        )
        stages[spec.method] = StagePlan(spec.config, prompt, answer, plan(sizes, spec.config, workload))
    return Plans(stages, host, count)


def lengths(model: str, spec: TrainSpec, task: Task, samples: Sequence[Sample]) -> tuple[int, int]:
    """Tokens of the longest prompt among the first questions, and of the longest answer."""
    from runners.weights.loading import load_tokenizer
    from runners.weights.source import resolve

    examples = rows.training_rows(spec, task, samples[:MEASURED_QUESTIONS])
    tokenizer = load_tokenizer(resolve(model, weights=False).with_template(spec.config))
    messages = [list(example.messages) for example in examples]
    encoded = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
    prompt = max(map(len, encoded["input_ids"]), default=0)
    if spec.method == "grpo":
        return prompt, spec.grpo.max_new_tokens * spec.grpo.max_turns
    answers = [example.answer for example in examples if isinstance(example, TrainingExample)]
    return prompt, max(map(len, tokenizer(answers)["input_ids"]), default=0)
