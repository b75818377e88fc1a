"""The rollouts of training: conversations, drawn in one or several turns, and the rewards of their answers.

A conversation is one completion to the trainer: answer, feedback, answer, ... Feedback tokens are masked out
of the loss, and the last answer is scored. ``runners.dialogue`` decides whether a conversation goes on and
what the model is shown of it. The training reward is the composite score of each answer, computed while
others are still drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from math import isfinite
from queue import Empty, SimpleQueue
from statistics import fmean, pstdev
from threading import Thread
from typing import Any

from runners.decoding.tokens import Stops, answer_text
from runners.dialogue import between, converse, previous_answer
from runners.training import distributed
from runners.training.config import GrpoConfig
from runners.types import FeedbackFunction, Request, Reward, RewardFunction
from tasks.common.errors import ModelError
from tasks.types import Message, Sample

GroupKey = tuple[str, tuple[str, ...]]
"""A sample's id and the answers to it."""


@dataclass(slots=True)
class Conversation:
    """The turns after a prompt. ``sampled[i]`` is 1 where ``tokens[i]`` was drawn from the model, else 0."""

    request: Request
    prompt: list[int]
    tokens: list[int] = field(default_factory=list)
    sampled: list[int] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    """The turns as messages: answer, feedback, answer, ..."""
    logprobs: list[float | None] | None = None
    """vLLM's log-probability of each token, 0 for feedback; None if vLLM does not draw the answers."""
    stopped: bool = False
    """Whether a stop string ended the newest answer."""

    @property
    def text(self) -> str:
        """The newest answer."""
        return self.messages[-1]["content"]

    @property
    def history(self) -> Sequence[Message]:
        """The turns between the prompt and the newest answer."""
        return self.messages[:-1]

    @property
    def previous_answer(self) -> str:
        """The answer before the newest one; "" where there is only one."""
        return previous_answer(self.history)

    @property
    def turns(self) -> int:
        """The number of answers, including those that are no longer in ``tokens``."""
        return (len(self.messages) + 1) // 2

    def add_answer(self, stops: Stops, tokens: Sequence[int], logprobs: Sequence[float] | None) -> None:
        """Append an answer that was drawn after the prompt and the tokens so far."""
        text = answer_text(stops.tokenizer, self.prompt + self.tokens, tokens)
        self.messages.append({"role": "assistant", "content": stops.before(text)})
        self.stopped = stops.end(tokens)
        self.tokens += tokens
        self.sampled += [1] * len(tokens)
        if logprobs is not None:
            self.logprobs = [*(self.logprobs or ()), *logprobs]

    def add_feedback(self, message: Message, tokens: Sequence[int]) -> None:
        """Append the database's feedback on the last answer."""
        self.messages.append(message)
        self.tokens += tokens
        self.sampled += [0] * len(tokens)
        if self.logprobs is not None:
            self.logprobs = [*self.logprobs, *[0.0] * len(tokens)]


Draw = Callable[[int, Sequence[Conversation]], tuple[Sequence[list[int]], Sequence[list[float]] | None]]
"""(turn, conversations) -> the tokens of their next answers, and vLLM's log-probabilities of them."""


@dataclass(frozen=True, slots=True)
class Turns:
    """How conversations are drawn: up to ``max_turns`` answers, with the database's feedback in between."""

    max_turns: int
    max_tokens: int
    """Most tokens of prompt and conversation before a further answer, which must fit the context."""
    tokenizer: Any
    end_tokens: tuple[int, ...]
    stop: tuple[str, ...] = ()

    def play(
        self, conversations: Sequence[Conversation], draw: Draw, feedback: FeedbackFunction | None
    ) -> None:
        """Extend the conversations in place until each answer is final, or turns or tokens run out."""

        stops = Stops(self.tokenizer, self.stop)

        def answer(turn: int, asked: Sequence[Conversation]) -> Iterator[Sequence[Conversation]]:
            answers, logprobs = draw(turn, asked)
            for i, conversation in enumerate(asked):
                conversation.add_answer(stops, answers[i], logprobs[i] if logprobs else None)
            yield asked

        def comment(asked: Sequence[Conversation]) -> list[str]:
            assert feedback is not None, "checked by train_grpo"
            samples = [conversation.request.sample for conversation in asked]
            answers = [conversation.text for conversation in asked]
            return feedback(samples, answers, [conversation.previous_answer for conversation in asked])

        for _ in converse(conversations, answer, comment, self.extend, self.max_turns):
            pass

    def extend(self, conversation: Conversation, messages: tuple[Message, Message]) -> Conversation | None:
        """Add the messages that ask again to a conversation, in place; None if they do not fit."""
        answer, feedback = messages
        tokens = between(self.tokenizer, feedback["content"])
        if tokens is None or conversation.stopped or answer["content"] != conversation.text:
            return self._render_again(conversation, messages)
        end = conversation.tokens[-1:]
        if end and end[0] in self.end_tokens and tokens[0] in self.end_tokens:
            del tokens[0]  # the model has ended its turn itself
        if len(conversation.prompt) + len(conversation.tokens) + len(tokens) > self.max_tokens:
            return None
        conversation.add_feedback(feedback, tokens)
        return conversation

    def _render_again(
        self, conversation: Conversation, messages: tuple[Message, Message]
    ) -> Conversation | None:
        """Continue without earlier thoughts: render the conversation so far again and make it the prompt.

        Then only later answers are trained.
        """
        so_far = [*conversation.history, *messages]
        rendered = self.tokenizer.apply_chat_template(
            [*conversation.request.messages, *so_far], add_generation_prompt=True, return_dict=True
        )
        prompt = list(rendered["input_ids"])
        if len(prompt) > self.max_tokens:
            return None
        conversation.prompt, conversation.tokens, conversation.sampled = prompt, [], []
        conversation.logprobs = None if conversation.logprobs is None else []
        conversation.messages = so_far
        return conversation


def answer_figures(
    conversations: Sequence[Conversation], end_tokens: set[int], several_turns: bool
) -> dict[str, float]:
    """Figures of conversations for the curve, over all processes, which must call together.

    ``length``: the mean number of tokens that the model wrote in a conversation, all turns together.
    ``clipped``: the share of conversations with an answer that ends neither with an end-of-sequence token nor
    with a stop string.
    ``turns``, if there may be several: the mean number of answers.
    """
    counted = [
        (
            sum(item.sampled),
            not item.stopped and is_cut(item.sampled, item.tokens, end_tokens),
            item.turns,
        )
        for item in conversations
    ]
    lengths, clipped, turns = zip(*distributed.all_gather(counted), strict=True)
    means = {"length": fmean(lengths), "clipped": fmean(clipped)}
    return means | ({"turns": fmean(turns)} if several_turns else {})


def is_cut(sampled: Sequence[int], tokens: Sequence[int], end_tokens: set[int]) -> bool:
    """Whether an answer (a run of sampled tokens) does not end with an end-of-sequence token."""
    last = [own and not after for own, after in zip(sampled, [*sampled[1:], 0], strict=True)]
    return any(token not in end_tokens for token, is_last in zip(tokens, last, strict=True) if is_last)


class ScoringQueue:
    """A thread that scores submitted groups of answers; all waiting groups are scored in one call."""

    def __init__(self, score: RewardFunction) -> None:
        self._score = score
        self._waiting: SimpleQueue[tuple[Sample, GroupKey]] = SimpleQueue()
        self._rewards: dict[GroupKey, Future[list[Reward]]] = {}
        Thread(target=self._work, daemon=True).start()

    def submit(self, sample: Sample, texts: Sequence[str]) -> None:
        """Queue the answers to one sample for scoring."""
        group = (sample.id, tuple(texts))
        if group not in self._rewards:
            self._rewards[group] = Future()
            self._waiting.put((sample, group))

    def rewards(self, samples: Sequence[Sample], texts: Sequence[str], size: int) -> list[Reward]:
        """The rewards of groups of ``size``, in order; groups that were not submitted are scored now.

        Raises the error of the scorer. Afterwards all groups are removed.
        """
        rewards: list[Reward] = []
        for start in range(0, len(texts), size):
            self.submit(samples[start], texts[start : start + size])
        for start in range(0, len(texts), size):
            rewards += self._rewards[samples[start].id, tuple(texts[start : start + size])].result()
        self._rewards.clear()
        return rewards

    def _work(self) -> None:
        while True:
            batch = [self._waiting.get()]
            try:
                while True:
                    batch.append(self._waiting.get_nowait())
            except Empty:
                pass
            samples = [sample for sample, (_, texts) in batch for _ in texts]
            futures = [self._rewards[group] for _, group in batch]
            try:
                rewards = self._score(samples, [text for _, (_, texts) in batch for text in texts])
            except BaseException as error:  # any error is passed to the trainer
                for future in futures:
                    future.set_exception(error)
                continue
            for future, (_, (_, texts)) in zip(futures, batch, strict=True):
                future.set_result(rewards[: len(texts)])
                rewards = rewards[len(texts) :]


class TrainingReward:
    """The reward of conversations: the score of the last answer minus ``turn_cost`` for earlier ones."""

    def __init__(self, score: RewardFunction, config: GrpoConfig) -> None:
        self.config = config
        self.queue = ScoringQueue(score)

    def __call__(self, conversations: Sequence[Conversation]) -> list[Reward]:
        """The rewards of conversations, ordered by group. Raises ModelError: a reward is no number."""
        samples = [conversation.request.sample for conversation in conversations]
        texts = [conversation.text for conversation in conversations]
        scored = self.queue.rewards(samples, texts, self.config.group_size)
        rewards = [
            replace(reward, value=None if reward.value is None else reward.value - self._cost(conversation))
            for reward, conversation in zip(scored, conversations, strict=True)
        ]
        check_numbers(samples, rewards)
        return rewards

    def _cost(self, conversation: Conversation) -> float:
        """The cost of a conversation's answers before the last one."""
        return self.config.turn_cost * (conversation.turns - 1) / max(1, self.config.max_turns - 1)


def check_numbers(samples: Sequence[Sample], rewards: Sequence[Reward]) -> None:
    """Raise ModelError where a reward is neither a number nor None."""
    for sample, reward in zip(samples, rewards, strict=True):
        if reward.value is not None and not isfinite(reward.value):
            raise ModelError(
                f"the reward of an answer to question {sample.id} is {reward.value}:"
                " fix scoring.reward, which must return a number, or None if unscored"
            )


def is_mixed(group: Sequence[Reward]) -> bool:
    """Whether some answers of a group are right and some wrong."""
    return len({reward.correct == 1 for reward in group}) == 2


def is_scored(group: Sequence[Reward]) -> bool:
    """Whether every answer of a group has a reward."""
    return all(reward.value is not None for reward in group)


def reward_figures(groups: Sequence[Sequence[Reward]]) -> dict[str, float]:
    """Figures of the rewards of a step's groups, of all processes, for the curve."""
    rewards = [reward for group in groups for reward in group]
    values = [reward.value for reward in rewards if reward.value is not None]
    means = {"unscored": 1 - len(values) / len(rewards)}
    if values:
        means |= {"reward": fmean(values), "reward_std": pstdev(values)}
    if scored := [group for group in groups if is_scored(group)]:
        means["no_spread"] = fmean(len({reward.value for reward in group}) == 1 for group in scored)
        means["mixed"] = fmean(map(is_mixed, scored))
    for part in sorted({part for reward in rewards for part in reward.parts}):
        means[f"parts/{part}"] = fmean(reward.parts[part] for reward in rewards if part in reward.parts)
    return means
