"""The recipes of ``harness demo``: a model, a task, and the settings of SFT and GRPO on them.

They were found by the experiments in ``benchmarks/recipe.md`` (nano) and ``benchmarks/real.md`` (smollm2).
"""

from __future__ import annotations

from dataclasses import dataclass

from runners.training.config import GrpoConfig, LoraSpec, SftConfig
from tasks.common.errors import SpecError


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one demo runs."""

    model: str
    task: str
    about: str
    """What the model knew before, for the closing screen."""
    sft_rows: int
    """Questions of SFT, drawn from the training split."""
    sft: SftConfig
    grpo: GrpoConfig
    dev_limit: int = 0
    """Questions of the dev split that choose the weights of GRPO; 0: its last weights are kept."""
    questions: int = 0
    """Questions of an evaluation, drawn from the evaluation split; 0: all."""
    overrides: tuple[str, ...] = ()
    """Keys of the task that differ from its file."""

    @property
    def name(self) -> str:
        """The name of the folder of its models."""
        return "demo" if self is NANO else f"demo-{self.model}-{self.task}"


NANO = Recipe(
    model="nano",
    task="pocket",
    about="pretrained on other schemas and other phrasings",
    sft_rows=2400,
    sft=SftConfig(learning_rate=1e-3, epochs=2, batch_size=32, eval_every=1000, save_every=50),
    grpo=GrpoConfig(
        learning_rate=1.5e-3,
        scheduler="linear",
        warmup=0.05,
        max_steps=60,
        prompts_per_step=64,
        group_size=8,
        micro_groups=4,
        max_new_tokens=80,
        eval_every=30,
        save_every=20,
    ),
    dev_limit=300,
)
_SFT = SftConfig(
    learning_rate=2e-4,
    batch_size=32,
    micro_batch=16,
    same_prefix=8,
    eval_every=1000,
    save_every=10,
)
_GRPO = GrpoConfig(
    learning_rate=6e-4,
    scheduler="linear",
    warmup=0.05,
    lora=LoraSpec(r=16, alpha=32),
    max_steps=10,
    prompts_per_step=24,
    group_size=8,
    micro_groups=2,
    same_prefix=4,
    temperature=1.0,
    scale_rewards="batch",
    max_new_tokens=64,
    eval_every=1000,
    save_every=4,
)
SMOLLM2_POCKET = Recipe(
    model="smollm2",
    task="pocket",
    about="a chat model of 135 M parameters",
    sft_rows=1280,
    sft=_SFT,
    grpo=_GRPO,
    questions=400,
)
SMOLLM2_SPIDER = Recipe(
    model="smollm2",
    task="spider_small",
    about="a chat model of 135 M parameters",
    sft_rows=480,
    sft=_SFT.model_copy(update={"micro_batch": 8}),
    grpo=_GRPO.model_copy(update={"max_steps": 5, "prompts_per_step": 8}),
    questions=200,
)
RECIPES = (NANO, SMOLLM2_POCKET, SMOLLM2_SPIDER)


def recipe_of(model: str, task: str) -> Recipe:
    """The recipe for a model and a task. Raises SpecError: there is none."""
    for recipe in RECIPES:
        if (recipe.model, recipe.task) == (model, task):
            return recipe
    known = ", ".join(f"--model {one.model} --task {one.task}" for one in RECIPES)
    raise SpecError(
        f"no demo of --model {model} --task {task}: there are {known}; 'harness train' trains any model"
    )
