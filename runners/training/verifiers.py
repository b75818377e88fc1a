"""A verifiers environment in TRL's trainer: a ``rollout_func`` that runs it with the model in training.

In each step a token engine serves the policy, the environment runs every prompt in one or several turns, and
TRL gets the sampled tokens. The environment's messages in between are masked out of the loss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import verifiers.v1 as vf
from renderers import CustomRendererConfig

from runners.compat.renderers import renew_lock
from runners.training.engine import TokenEngine

RENDERER = "runners.training.renderer.TemplateRenderer"
KEY = "task"
"""The key of a prompt's last message with the index of its task in the environment."""


class Rollouts:
    """A ``rollout_func`` over a verifiers environment.

    ``environment`` is its config (as ``--env.*``), ``sampling`` verifiers' sampling settings. Rewards come
    back as the column ``environment_reward``: None where an episode failed.
    """

    def __init__(self, environment: Mapping[str, Any], sampling: Mapping[str, Any]) -> None:
        self.environment = vf.load_environment(vf.resolve_env_config(dict(environment)))
        self.sampling = vf.SamplingConfig(**sampling)
        self.tasks = list(self.environment.taskset)

    def prompts(self) -> list[list[dict[str, Any]]]:
        """The rows of TRL's dataset, one for each task of the environment."""
        return [_messages(task.data, number) for number, task in enumerate(self.tasks)]

    def __call__(self, prompts: Sequence[Sequence[Mapping[str, Any]]], trainer: Any) -> dict[str, Any]:
        """Run each prompt's task once. Returns TRL's columns: tokens, log-probabilities, masks, rewards."""
        tokenizer = trainer.processing_class
        model = trainer.accelerator.unwrap_model(trainer.model)
        tasks = [self.tasks[prompt[-1][KEY]] for prompt in prompts]
        with TokenEngine(model, tokenizer.pad_token_id) as engine:
            client = vf.TrainClientConfig(
                base_url=engine.url,
                api_key_var="HARNESS_ENGINE_KEY",
                renderer=CustomRendererConfig(import_path=RENDERER),
                renderer_model_name=tokenizer.name_or_path,
            )
            context = vf.ModelContext("policy", client, self.sampling)
            renew_lock()
            episodes = _loop().run(self._play(tasks, context))
        rows = [
            _row(episode) or _failed(prompt, tokenizer)
            for episode, prompt in zip(episodes, prompts, strict=True)
        ]
        return {name: [row[name] for row in rows] for name in rows[0]}

    async def _play(self, tasks: Sequence[vf.Task], context: vf.ModelContext) -> list[vf.Episode]:
        slots = [slot for task in tasks for slot in self.environment.slots(task)]
        async with self.environment.serving():
            return await asyncio.gather(*(self.environment.run_slot(slot, context) for slot in slots))


@cache
def _loop() -> asyncio.Runner:
    """The event loop of all steps: verifiers keeps locks that belong to the first loop."""
    return asyncio.Runner()


def environment_rewards(
    completions: Sequence[Any], environment_reward: Sequence[float | None], **_: Any
) -> list[float | None]:
    """TRL's reward function: the environment's reward; None leaves a completion out."""
    return list(environment_reward)


def _messages(data: vf.TaskData, number: int) -> list[dict[str, Any]]:
    system = [{"role": "system", "content": data.system_prompt}] if data.system_prompt else []
    return [*system, {"role": "user", "content": data.prompt, KEY: number}]


def _row(episode: vf.Episode) -> dict[str, Any] | None:
    """An episode as TRL's columns; None if it failed. ``env_mask`` is 1 on the model's tokens."""
    if not episode.ok or not episode.traces or not episode.traces[0].branches:
        return None
    trace = episode.traces[0]
    branch = trace.branches[-1]
    mask = [int(sampled) for sampled in branch.sampled_mask]
    if 1 not in mask:
        return None
    first, last = mask.index(1), len(mask) - mask[::-1].index(1)
    return {
        "prompt_ids": branch.token_ids[:first],
        "completion_ids": branch.token_ids[first:last],
        "logprobs": branch.logprobs[first:last],
        "env_mask": mask[first:last],
        "environment_reward": trace.reward,
        "turns": trace.num_turns,
    }


def _failed(prompt: Sequence[Mapping[str, Any]], tokenizer: Any) -> dict[str, Any]:
    """The row of a failed episode: one token that is masked out of the loss, and no reward."""
    messages = [{"role": message["role"], "content": message["content"]} for message in prompt]
    encoded = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
    return {
        "prompt_ids": encoded["input_ids"],
        "completion_ids": [tokenizer.eos_token_id],
        "logprobs": [0.0],
        "env_mask": [0],
        "environment_reward": None,
        "turns": 0,
    }
