"""The specs of an evaluation and of one stage of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from leaderboards.shards import Shard
from runners.chat_templates import COMPLETION
from runners.settings import RunnerConfig
from runners.training.config import GrpoConfig, SftConfig
from tasks.common.errors import SpecError
from tasks.common.parse import Spec
from tasks.spec import TaskSpec


class EvalSpec(Spec):
    """One model on one split of one task."""

    model: str
    """Name of the model, as ``--model`` takes it."""
    task: str
    """Name or YAML file of the task."""
    split: str = ""
    """Split to evaluate; "": the task's ``eval_split``."""
    limit: int = Field(0, ge=0)
    """Most questions; 0: all."""
    sample_seed: int | None = None
    """Shuffle the split under this seed before ``limit`` cuts it."""
    samples: int = Field(1, ge=1)
    """Answers drawn for each question."""
    temperature: float = Field(0.0, ge=0)
    """0 is greedy decoding."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling."""
    seed: int = 0
    """Seed of sampling."""
    max_new_tokens: int = Field(0, ge=0)
    """Most tokens of an answer; 0: the task's own limit."""
    turns: int = Field(1, ge=1)
    """Most answers to a question; above 1 the model may correct a query that fails or returns no rows."""
    runner: RunnerConfig = RunnerConfig()
    """Settings of the runners."""
    shard: Shard | None = Field(None, exclude=True)
    """Judge only this shard of the questions; other processes judge the others into the same run."""
    trust: bool = Field(False, exclude=True)
    """The task may run code of its own (``tasks/common/named_code.py``)."""

    def of_task(self, task: TaskSpec) -> EvalSpec:
        """The spec with the settings that the task's prompt decides. Raises SpecError."""
        if not task.prompt.is_completion:
            return self
        expect_one_turn(self.turns)
        template = self.runner.chat_template or COMPLETION
        return self.model_copy(update={"runner": self.runner.model_copy(update={"chat_template": template})})


class TrainSpec(Spec):
    """One stage of training: a model, a method, and the rows of a task to train on."""

    task: str
    """Name or YAML file of the task."""
    method: Literal["sft", "grpo"]
    """Method of this stage."""
    model: str
    """Model to train."""
    split: str = ""
    """Default: the task's training split."""
    limit: int = Field(0, ge=0)
    """Most questions to train on; 0: all of the split."""
    sample_seed: int | None = None
    """Shuffle the split under this seed before ``limit`` cuts it."""
    only: Mapping[Literal["database", "difficulty", "family", "part"], tuple[str, ...]] = Field(
        default_factory=dict
    )
    """Field of a sample -> the allowed values; applied before ``limit``. Files of rows are not filtered."""
    data: tuple[str, ...] = ("gold",)
    """The rows of SFT: ``gold`` (the task's own answers) or files that ``harness sample`` wrote."""
    dev_split: str = "dev"
    dev_limit: int = Field(200, ge=0)
    """Questions of the dev split that choose the best weights; 0: the last weights are kept."""
    sft: SftConfig = SftConfig()
    """Settings of SFT."""
    grpo: GrpoConfig = GrpoConfig()
    """Settings of GRPO."""
    trust: bool = Field(False, exclude=True)
    """The task may run code of its own (``tasks/common/named_code.py``)."""

    @property
    def config(self) -> SftConfig | GrpoConfig:
        """The settings of this stage's method."""
        return self.sft if self.method == "sft" else self.grpo

    def of_task(self, task: TaskSpec) -> TrainSpec:
        """The spec with the settings that the task decides: completion prompts, stop strings.

        Raises SpecError.
        """
        settings: dict[str, object] = {}
        if task.prompt.is_completion:
            expect_one_turn(self.turns)
            settings["chat_template"] = self.config.chat_template or COMPLETION
        if self.method == "grpo":
            settings["stop"] = self.grpo.stop or task.answer.stop
        return self.model_copy(update={self.method: self.config.model_copy(update=settings)})

    @property
    def turns(self) -> int:
        """Most answers to a question, in the training and in the evaluations before and after it."""
        return self.grpo.max_turns if self.method == "grpo" else 1


def expect_one_turn(turns: int) -> None:
    """Raise SpecError: a completion prompt, which has no turns, is asked in several."""
    if turns > 1:
        raise SpecError("a completion prompt (prompt.template) has one turn: leave out --turns and max_turns")
