"""Answers from a Hugging Face model in this process, shared prompt prefixes computed once."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from runners.decode import Drawing, Drawn, draw
from runners.probe import refusal
from runners.separate import draw_separately
from runners.texts import thought_tag, written
from runners.types import Completion, Request, Sampling


class HfRunner:
    """A loaded model and its tokenizer. Greedy answers are those of ``model.generate`` without penalties."""

    def __init__(self, model: Any, tokenizer: Any, name: str = "", batch_tokens: int = 0) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.name = name or model.config._name_or_path
        self.batch_tokens = batch_tokens
        why_not = refusal(model)
        self._draw = draw_separately if why_not else draw
        if why_not:
            warnings.warn(f"{self.name}: prompts are computed one by one: {why_not}", stacklevel=2)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index, n completions)`` as batches end; an answer depends on the seed and sample only."""
        if not requests:
            return
        context = self.model.config.max_position_embeddings
        prompts = encode(self.tokenizer, requests)
        asked = []
        for index, prompt in enumerate(prompts):
            if len(prompt) < context:
                asked.append(index)
                continue
            why = f"the prompt has {len(prompt)} tokens, the model's context is {context}"
            yield index, [Completion("", len(prompt), finish="error", error=why)] * sampling.n
        seeds = [zlib.crc32(f"{sampling.seed} {requests[i].sample.id}".encode()) for i in asked]
        how = drawing(self.model, self.tokenizer, sampling)
        asking = [prompts[i] for i in asked]
        for number, answers in self._draw(self.model, asking, seeds, sampling.n, how, self.batch_tokens):
            index = asked[number]
            yield index, [self._completion(prompts[index], one, sampling) for one in answers]

    def _completion(self, prompt: Sequence[int], drawn: Drawn, sampling: Sampling) -> Completion:
        text = written(self.tokenizer, drawn.tokens)
        for stop in sampling.stop:
            text = text.partition(stop)[0]
        return Completion(
            text=thought_tag(self.tokenizer, prompt) + text,
            prompt_tokens=len(prompt),
            tokens=len(drawn.tokens),
            seconds=drawn.seconds,
            finish=drawn.finish,
            logprob=drawn.logprob,
        )

    def close(self) -> None:
        """Nothing to release."""


def encode(tokenizer: Any, requests: Sequence[Request]) -> list[tuple[int, ...]]:
    """The prompt tokens of each request, up to where the answer begins."""
    rendered = [list(request.messages) for request in requests]
    encoded = tokenizer.apply_chat_template(rendered, add_generation_prompt=True, return_dict=True)
    return [tuple(ids) for ids in encoded["input_ids"]]


def drawing(model: Any, tokenizer: Any, sampling: Sampling) -> Drawing:
    """How ``sampling`` is done with this model: where its answers end."""
    ends = model.generation_config.eos_token_id
    declared = ends if isinstance(ends, list) else [ends]
    return Drawing(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_new_tokens=sampling.max_new_tokens,
        end_tokens=tuple({token for token in [*declared, tokenizer.eos_token_id] if token is not None}),
        ended=_stops(tokenizer, sampling.stop) if sampling.stop else None,
    )


def _stops(tokenizer: Any, stops: Sequence[str]) -> Callable[[list[int]], bool]:
    """Does an answer end in, or contain in its newest token, one of the strings?"""
    tail = max(len(stop) for stop in stops) + 4  # a character can take up to four tokens of one byte

    def ended(tokens: list[int]) -> bool:
        text = tokenizer.decode(tokens[-tail:], skip_special_tokens=True)
        return any(stop in text for stop in stops)

    return ended
