"""A task as an OpenEnv environment, served over HTTP and WebSocket. Interface: openenv 0.10.

A step is an answer; with ``turns`` over 1 a failed query may be corrected, as in evaluations.
``python -m harness.adapters.openenv_server`` serves it.
"""

from __future__ import annotations

import asyncio
import random
from functools import cache
from typing import Any
from uuid import uuid4

from openenv.core.env_server.http_server import create_fastapi_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State
from pydantic import Field

from harness.adapters.chat import expect_chat
from harness.adapters.conversation import Conversation
from harness.adapters.task_file import ExportedTask
from harness.prepare import prepare_databases
from tasks.common.errors import DataError
from tasks.task import Task

SESSIONS = 256
"""Most sessions of one server; each is one conversation, and all share the workers that run queries."""


class SqlAction(Action):
    """An answer."""

    text: str
    """The model's text, of which the SQL is extracted."""


class SqlObservation(Observation):
    """What the model sees next. ``reward`` is None until the conversation is done."""

    messages: list[dict[str, str]] = Field(default_factory=list)
    """The conversation so far, whose last message asks for an answer; of a final answer, without it."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """``execution_accuracy`` (the headline mode) and each mode's verdict on the last answer."""
    reason: str = ""
    """The last answer's reason code (docs/reference/scores.md)."""


class SqlState(State):
    """The question that is asked."""

    split: str = ""
    index: int = -1
    """Its place in the split, from 0; -1 before the first reset."""
    id: str = ""


class SqlEnvironment(Environment[SqlAction, SqlObservation, SqlState]):
    """One conversation at a time. ``turns``: most answers to a question."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, task: Task, turns: int = 1) -> None:
        super().__init__()
        self._task = task
        self._turns = turns
        self._conversation: Conversation | None = None
        self._state = SqlState()

    async def reset_async(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        split: str = "",
        index: int | None = None,
        **_: Any,
    ) -> SqlObservation:
        """Ask the question at a place of a split; default: one drawn under ``seed``.

        Raises DataError: no such split or place.
        """
        exported = split_of(self._task, split)
        count = len(exported.samples)
        place = random.Random(seed).randrange(count) if index is None else index
        if not 0 <= place < count:
            raise DataError(
                f"{self._task.name}, {exported.split}: index {place} is not from 0 to {count - 1}"
            )
        sample = exported.samples[place]
        self._conversation = Conversation(exported, sample, self._turns)
        self._state = SqlState(
            episode_id=episode_id or str(uuid4()), split=exported.split, index=place, id=sample.id
        )
        return _observation(self._conversation, done=False)

    async def step_async(self, action: SqlAction, timeout_s: float | None = None, **_: Any) -> SqlObservation:
        """Grade an answer. The last one has the composite reward.

        Raises RuntimeError: no question is asked, or the answer cannot be scored.
        """
        conversation = self._conversation
        if conversation is None:
            raise RuntimeError("no question is asked: call reset before step")
        self._state.step_count += 1
        final = await conversation.answer(action.text)
        if final:
            self._conversation = None
        return _observation(conversation, final)

    def reset(self, seed: int | None = None, episode_id: str | None = None, **more: Any) -> SqlObservation:
        """``reset_async`` where no event loop runs."""
        return asyncio.run(self.reset_async(seed, episode_id, **more))

    def step(self, action: SqlAction, timeout_s: float | None = None, **more: Any) -> SqlObservation:
        """``step_async`` where no event loop runs."""
        return asyncio.run(self.step_async(action, timeout_s, **more))

    @property
    def state(self) -> SqlState:
        """The question that is asked, and how many answers it has had."""
        return self._state

    def list_splits(self) -> list[str]:
        """The splits of the task."""
        return list(self._task.spec.dataset.splits)

    def num_tasks(self, split: str) -> int:
        """How many questions a split has. Raises DataError: no such split."""
        return len(split_of(self._task, split).samples)

    def get_task(self, split: str, index: int) -> dict[str, Any]:
        """The question at a place of a split. Raises DataError, IndexError."""
        sample = split_of(self._task, split).samples[index]
        return {"id": sample.id, "index": index, "question": sample.question, "database": sample.database}


def _observation(conversation: Conversation, done: bool) -> SqlObservation:
    grade = conversation.grade
    return SqlObservation(
        done=done,
        reward=conversation.reward,
        messages=[dict(message) for message in conversation.messages],
        metrics=conversation.metrics,
        reason=grade.attempt.reason.value if grade else "",
    )


@cache
def split_of(task: Task, split: str) -> ExportedTask:
    """A split of a task with its databases, made once for all sessions. Raises DataError: no such split."""
    exported = ExportedTask(task, split)
    prepare_databases(task, exported.samples)
    return exported


def app(task: Task, turns: int = 1) -> Any:
    """The ASGI application that serves a task.

    Raises SpecError: its prompts are no chat messages; DataError: it has no data.
    """
    expect_chat(task.spec, "OpenEnv")
    split_of(task, "")
    return create_fastapi_app(
        lambda: SqlEnvironment(task, turns),
        SqlAction,
        SqlObservation,
        max_concurrent_envs=SESSIONS,
        env_name=task.name,
        state_cls=SqlState,
    )
