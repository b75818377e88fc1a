"""A task as a dataset of the Tinker cookbook, for its RL training loop. Interface: tinker-cookbook 0.6.1.

``SqlDatasetBuilder`` goes into ``tinker_cookbook.rl.train.Config(dataset_builder=...)``. The cookbook's own
adapter for verifiers needs verifiers below 0.1.10, which has another interface than ``harness_sql``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import chz
import tinker
from tinker_cookbook.completers import StopCondition
from tinker_cookbook.renderers import Renderer, get_renderer, get_text_content
from tinker_cookbook.rl.types import (
    Action,
    ActionExtra,
    Env,
    EnvGroupBuilder,
    RLDataset,
    RLDatasetBuilder,
    StepResult,
)
from tinker_cookbook.tokenizer_utils import get_tokenizer

from harness.adapters.chat import expect_chat
from harness.adapters.conversation import Conversation
from harness.adapters.golds import scorable
from harness.adapters.task_file import ExportedTask
from tasks.spec import TaskSpec
from tasks.task import Task


class SqlEnv(Env):
    """One conversation. Its last answer has the composite reward; a cut answer is graded as it is."""

    def __init__(self, conversation: Conversation, renderer: Renderer) -> None:
        self._conversation = conversation
        self._renderer = renderer

    async def initial_observation(self) -> tuple[tinker.ModelInput, StopCondition]:
        """The prompt, and where an answer stops."""
        return self._prompt(), self._renderer.get_stop_sequences()

    async def step(self, action: Action, *, extra: ActionExtra | None = None) -> StepResult:
        """Grade an answer, given as tokens. Raises RuntimeError: it cannot be scored."""
        message, _ = self._renderer.parse_response(action)
        final = await self._conversation.answer(get_text_content(message))
        grade = self._conversation.grade
        assert grade is not None
        return StepResult(
            reward=self._conversation.reward or 0.0,
            episode_done=final,
            next_observation=tinker.ModelInput.empty() if final else self._prompt(),
            next_stop_condition=self._renderer.get_stop_sequences(),
            metrics=dict(self._conversation.metrics) if final else {},
            logs={"reason": grade.attempt.reason.value, "sql": grade.attempt.sql},
        )

    def _prompt(self) -> tinker.ModelInput:
        return self._renderer.build_generation_prompt(self._conversation.messages)


@dataclass(frozen=True)
class SqlGroup(EnvGroupBuilder):
    """Several conversations about one question. It can be pickled, as rollouts in other processes need."""

    spec: str
    """The resolved spec of the task, as JSON."""
    split: str
    index: int
    """The question's place in the split."""
    turns: int
    size: int
    model: str
    """Name of the model whose tokenizer is used."""
    renderer: str

    async def make_envs(self) -> Sequence[Env]:
        """The conversations."""
        exported = _exported(self.spec, self.split)
        sample = exported.samples[self.index]
        renderer = _renderer(self.renderer, self.model)
        return [SqlEnv(Conversation(exported, sample, self.turns), renderer) for _ in range(self.size)]

    def logging_tags(self) -> list[str]:
        """The name of the task."""
        return [_exported(self.spec, self.split).task.name]


class SqlDataset(RLDataset):
    """Groups in batches; the last batch may be smaller."""

    def __init__(self, groups: Sequence[SqlGroup], batch_size: int) -> None:
        self._groups = groups
        self._batch_size = batch_size

    def get_batch(self, index: int) -> Sequence[EnvGroupBuilder]:
        """The groups of a batch, counted from 0."""
        return self._groups[index * self._batch_size : (index + 1) * self._batch_size]

    def __len__(self) -> int:
        return math.ceil(len(self._groups) / self._batch_size)


@chz.chz
class SqlDatasetBuilder(RLDatasetBuilder):
    """The training split in groups, shuffled under ``seed``, and the evaluation split, one answer each.

    Questions whose gold fails are left out. Raises SpecError, DataError.
    """

    model_name: str
    renderer_name: str
    task: str = "pocket"
    """A shipped task or a YAML file."""
    overrides: tuple[str, ...] = ()
    """``key.path=value`` overrides of the task."""
    trust: bool = False
    """The task may run code of its own (``tasks/common/named_code.py``)."""
    turns: int = 1
    """Most answers to a question: a failed query may be corrected."""
    batch_size: int = 32
    """Questions of a training step."""
    group_size: int = 8
    seed: int = 0

    async def __call__(self) -> tuple[RLDataset, RLDataset | None]:
        """The datasets of training and of evaluation."""
        task = Task.named(self.task, self.overrides, self.trust)
        expect_chat(task.spec, "Tinker")
        train = self._groups(task.spec, task.spec.dataset.train_split, self.group_size)
        random.Random(self.seed).shuffle(train)
        evaluated = self._groups(task.spec, task.spec.dataset.eval_split, 1)
        return SqlDataset(train, self.batch_size), SqlDataset(evaluated, self.batch_size)

    def _groups(self, spec: TaskSpec, split: str, size: int) -> list[SqlGroup]:
        text = spec.model_dump_json(by_alias=True)
        exported = _exported(text, split)
        good = set(scorable(exported, exported.samples))
        more = (self.turns, size, self.model_name, self.renderer_name)
        numbered = enumerate(exported.samples)
        return [SqlGroup(text, split, place, *more) for place, sample in numbered if sample in good]


@cache
def _exported(spec: str, split: str) -> ExportedTask:
    """A split of a task, read once in a process."""
    return ExportedTask(Task(TaskSpec.model_validate_json(spec)), split)


@cache
def _renderer(name: str, model: str) -> Renderer:
    return get_renderer(name, get_tokenizer(model), model_name=model)
