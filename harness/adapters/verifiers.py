"""Any task as a verifiers v1 environment. Loads no torch; ``harness_sql`` is the module that verifiers finds.

``SqlTaskset`` yields the samples of a task spec, ``SqlTask`` scores a trace with our grader, ``SqlHarness``
asks the model from this process, and ``SqlEnv`` runs one turn, or several in which the database's feedback is
the next user message. A task's data holds everything that scoring needs, because env servers never load the
taskset.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx
import verifiers.v1 as vf
from verifiers.v1.dialects.chat import message_to_wire

from harness.adapters.chat import expect_chat
from harness.adapters.grades import metrics, scored_reward
from harness.adapters.grading_queue import grading_queue
from harness.prepare import prepare_databases
from harness.provenance.identity import task_digest
from rewards.feedback import feedback
from rewards.types import Answer, Grade
from runners.batching import context_exceeded
from runners.dialogue import follow_up, previous_answer, visible_message
from runners.endpoints.config import is_local
from tasks.spec import ScoringSpec, TaskSpec
from tasks.task import Task
from tasks.types import Database, Message, Sample

os.environ.setdefault("PRIME_RUNS_MODE", "disabled")  # else vf-eval uploads traces; "online" allows it

LOCAL_AGENT = vf.AgentConfig(runtime=vf.SubprocessConfig())
"""Requests to the model are sent from this machine: verifiers starts no remote sandbox."""


class SqlData(vf.TaskData):
    """One question: its sample and the resolved spec of its task, both as plain data."""

    sample: dict[str, Any]
    spec: dict[str, Any]
    digest: str = ""
    """Digest of the content of the whole split: questions, golds, databases, prompts, scorer."""
    training: bool = False
    """The question is of the training split."""


class SqlState(vf.State):
    """The grade of the last reply, once it is known."""

    grade: Any = None


class SqlTask(vf.Task[SqlData, SqlState]):
    """Scores the last reply of a trace. An unscored reply is an error; it never counts as 0."""

    @property
    def key(self) -> str:
        return f"{self.data.spec['name']}/{self.data.id}"

    async def finalize(self, trace: vf.Trace, runtime: vf.Runtime) -> None:
        """Grade the last reply, once for all metrics and rewards."""
        trace.state.grade = await self.grade(trace.last_reply)

    @vf.reward
    async def reward(self, trace: vf.Trace) -> float:
        """The composite score, as in our own trainers. Raises RuntimeError: the reply is unscored."""
        return scored_reward(trace.state.grade, self.scoring, self.data.training)

    @vf.metric
    async def scores(self, trace: vf.Trace) -> dict[str, float]:
        """``execution_accuracy`` (the headline mode), every mode's verdict, and every scorer's value."""
        grade: Grade = trace.state.grade
        scored = {name: score.value for name, score in grade.scores.items() if name != "reward"}
        values = {**metrics(grade, self.scoring), **scored}
        return {name: value for name, value in values.items() if value is not None}

    async def validate(self, runtime: vf.Runtime) -> bool:
        """Whether every gold is right in every mode."""
        grades = [await self.grade(gold) for gold in self.data.sample["gold"]]
        return all(value == 1 for grade in grades for value in grade.attempt.verdicts.values())

    async def grade(self, text: str) -> Grade:
        """Grade a text as an answer to this question."""
        answer = Answer(self._database, tuple(self.data.sample["gold"]), text)
        return await grading_queue(self.scoring.model_dump_json()).grade(answer)

    @property
    def scoring(self) -> ScoringSpec:
        return ScoringSpec.model_validate(self.data.spec["scoring"])

    @property
    def _database(self) -> Database:
        sample = Sample(**{**self.data.sample, "gold": tuple(self.data.sample["gold"])})
        return Task(TaskSpec.model_validate(self.data.spec)).database(sample)


class SqlTasksetConfig(vf.TasksetConfig):
    """The task, its split and overrides."""

    spec: str = "pocket"
    """A shipped task or a YAML file."""
    split: str = ""
    """Default: the task's evaluation split."""
    overrides: tuple[str, ...] = ()
    """``key.path=value`` overrides of the task."""
    trust: bool = False
    """The task may run code of its own (``tasks/common/named_code.py``)."""


class SqlTaskset(vf.Taskset[SqlTask, SqlTasksetConfig]):
    """The samples of a task spec."""

    def load(self) -> Iterator[SqlTask]:
        """Yield a task for each sample, with its rendered prompt."""
        task = Task.named(self.config.spec, self.config.overrides, self.config.trust)
        expect_chat(task.spec, "verifiers")
        spec = task.spec.model_dump(mode="json", by_alias=True)
        samples = task.samples(self.config.split)
        prepare_databases(task, samples)
        split = self.config.split or task.spec.dataset.eval_split
        content = task_digest(task, split, samples)
        for sample in samples:
            fields = {name: getattr(sample, name) for name in Sample.__slots__}
            data = SqlData(
                id=sample.id,
                name=sample.id,
                prompt=task.messages(sample)[-1]["content"],
                system_prompt=task.spec.prompt.system or None,
                sample={**fields, "gold": list(sample.gold)},
                spec=spec,
                digest=content,
                training=split == task.spec.dataset.train_split,
            )
            yield SqlTask(data, self.config.task)


class SqlHarnessConfig(vf.HarnessConfig):
    """Nothing to set."""


class SqlHarness(vf.Harness[SqlHarnessConfig]):
    """One chat request from this process, instead of a program that is started for each rollout."""

    APPENDS_SYSTEM_PROMPT = True
    SUPPORTS_RESUME = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: vf.ModelContext,
        trace: vf.Trace,
        runtime: vf.Runtime,
        endpoint: str,
        secret: str,
        *rest: Any,
    ) -> vf.ProgramResult:
        """Send the conversation to the interception server; its reply is recorded there."""
        _, data = rest  # the URLs of tool servers (none), and the task's data
        system, prompt = self.resolve_prompt(data)
        sent = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else []
        sent = sent or [message_to_wire(message) for message in prompt or []]
        messages = ([{"role": "system", "content": system}] if system else []) + [
            visible_message(message) for message in sent
        ]
        local = is_local(endpoint)  # then the proxy settings of the environment are ignored
        async with httpx.AsyncClient(
            verify=endpoint.startswith("https"), timeout=None, trust_env=not local
        ) as client:
            reply = await client.post(
                f"{endpoint}/chat/completions",
                json={"model": ctx.model, "messages": messages},
                headers={"Authorization": f"Bearer {secret}"},
            )
        answered = any(message["role"] == "assistant" for message in messages)
        failed = reply.status_code != 200 and not (answered and context_exceeded(reply.text))
        return vf.ProgramResult(int(failed), "", reply.text[-2000:])


class SqlEnvConfig(vf.EnvConfig):
    """One agent; with ``turns`` over 1 it may correct a failed query."""

    agent: vf.AgentConfig = LOCAL_AGENT
    turns: int = 1


class SqlEnv(vf.Env[SqlEnvConfig]):
    """Ask once, or until the query runs and returns rows, at most ``turns`` times."""

    async def run(self, task: SqlTask, agents: vf.Agents) -> None:
        """One episode."""
        if self.config.turns == 1:
            await agents.agent.run(task)
            return
        async with agents.agent.interaction(task) as chat:
            segment, history = await chat.turn(), list[Message]()
            while not segment.terminated:
                grade = await task.grade(segment.last_reply)
                comment = feedback(grade.attempt, previous_answer(history))
                messages = follow_up(history, segment.last_reply, comment, self.config.turns)
                if not messages:
                    break
                history += messages
                segment = await chat.turn(comment)
