"""Answers from a Hugging Face model in this process; shared prompt prefixes are computed once."""

from __future__ import annotations

import warnings
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from runners.compat.transformers import name_or_path
from runners.decoding.generation import default_batch_tokens, generate
from runners.decoding.probe import longest_shared, refusal
from runners.decoding.tokens import (
    Stops,
    Tokens,
    context_length,
    decode,
    encode_each,
    end_tokens,
    thought_tag,
)
from runners.decoding.types import DecodingSettings, Generated
from runners.types import Completion, Request, Sampling
from tasks.common.terminal import say


class HfRunner:
    """A loaded model and its tokenizer. Greedy answers are those of ``model.generate`` without penalties.

    ``deterministic`` computes each question alone, so that its tensors have the same shapes in every run.
    Otherwise rounding depends on the other questions in the batch, and in bfloat16 it can change an answer.
    """

    def __init__(
        self, model: Any, tokenizer: Any, name: str = "", batch_tokens: int = 0, deterministic: bool = False
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.name = name or name_or_path(model)
        self.batch_tokens = batch_tokens or default_batch_tokens(model)
        self.deterministic = deterministic
        reason = refusal(model)
        self.longest_shared = 0 if reason else longest_shared(model)
        """Texts of more tokens do not share prefixes."""
        if reason:
            warnings.warn(f"{self.name}: prompts are computed one by one: {reason}", stacklevel=2)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index, n completions)`` as they end; a prompt that exceeds the context is unanswered.

        Answers are cut at the model's context. Raises ModelError: the chat template fails on every prompt.
        """
        if not requests:
            return
        context = context_length(self.model.config)
        encoded = encode_each(self.tokenizer, requests, context)
        refused = {index: reason for index, reason in enumerate(encoded) if isinstance(reason, str)}
        if refused:
            say(f"{len(refused)} of {len(requests)} questions are not asked: {next(iter(refused.values()))}")
        for index, reason in refused.items():
            yield index, [Completion("", finish="unanswered", error=reason)] * sampling.n
        prompts = {index: prompt for index, prompt in enumerate(encoded) if not isinstance(prompt, str)}
        by_room: defaultdict[int, list[int]] = defaultdict(list)
        for index, prompt in prompts.items():
            by_room[min(sampling.max_new_tokens, context - len(prompt))].append(index)
        for room in sorted(by_room, reverse=True):
            for indices in [[i] for i in by_room[room]] if self.deterministic else [by_room[room]]:
                yield from self._answer({i: prompts[i] for i in indices}, requests, sampling, room)

    def _answer(
        self, prompts: dict[int, Tokens], requests: Sequence[Request], sampling: Sampling, room: int
    ) -> Iterator[tuple[int, list[Completion]]]:
        """The answers to these prompts, each of at most ``room`` tokens."""
        indices = list(prompts)
        seeds = [zlib.crc32(f"{sampling.seed} {requests[i].sample.id}".encode()) for i in indices]
        settings = DecodingSettings(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_new_tokens=room,
            end_tokens=end_tokens(self.model, self.tokenizer),
            has_stop=Stops(self.tokenizer, sampling.stop).end if sampling.stop else None,
            longest_shared=self.longest_shared,
        )
        tokens = list(prompts.values())
        answers = generate(self.model, tokens, seeds, sampling.n, settings, self.batch_tokens)
        for number, generated in answers:
            index = indices[number]
            yield index, [self._completion(prompts[index], answer, sampling) for answer in generated]

    def _completion(self, prompt: Sequence[int], generated: Generated, sampling: Sampling) -> Completion:
        text = Stops(self.tokenizer, sampling.stop).before(decode(self.tokenizer, generated.tokens))
        return Completion(
            text=thought_tag(self.tokenizer, prompt) + text,
            prompt_tokens=len(prompt),
            tokens=len(generated.tokens),
            seconds=generated.seconds,
            finish=generated.finish,
            logprob=generated.logprob,
        )

    def close(self) -> None:
        """Nothing to release."""
