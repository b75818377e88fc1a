"""Answers from a Hugging Face model in this process, shared prompt prefixes computed once."""

from __future__ import annotations

import warnings
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from runners.decoding.context import Tokens, context_of, encode_each
from runners.decoding.ends import end_tokens
from runners.decoding.fallback import draw_separately
from runners.decoding.generation import Drawing, Drawn, draw
from runners.decoding.probe import refusal
from runners.decoding.texts import thought_tag, written
from runners.types import Completion, Request, Sampling
from tasks.common.terminal import say


class HfRunner:
    """A loaded model and its tokenizer. Greedy answers are those of ``model.generate`` without penalties.

    ``deterministic``: each question is computed by itself, in the same shapes whatever else is asked. Else
    rounding depends on what is batched beside it, and in bfloat16 an answer can.
    """

    def __init__(
        self, model: Any, tokenizer: Any, name: str = "", batch_tokens: int = 0, deterministic: bool = False
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.name = name or model.config._name_or_path
        self.batch_tokens, self.deterministic = batch_tokens, deterministic
        why_not = refusal(model)
        self._draw = draw_separately if why_not else draw
        if why_not:
            warnings.warn(f"{self.name}: prompts are computed one by one: {why_not}", stacklevel=2)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index, n completions)`` as batches end; a prompt that is not taken has no answer.

        An answer ends at the model's context at the latest. Raises ModelError where the template takes none.
        """
        if not requests:
            return
        context = context_of(self.model.config)
        prompts = encode_each(self.tokenizer, requests, context)
        refused = {index: why for index, why in enumerate(prompts) if isinstance(why, str)}
        if refused:
            say(f"{len(refused)} of {len(requests)} prompts are not asked: {next(iter(refused.values()))}")
        for index, why in refused.items():
            yield index, [Completion("", finish="unanswered", error=why)] * sampling.n
        asked = {index: one for index, one in enumerate(prompts) if not isinstance(one, str)}
        rooms: defaultdict[int, list[int]] = defaultdict(list)
        for index, prompt in asked.items():
            rooms[min(sampling.max_new_tokens, context - len(prompt))].append(index)
        for room in sorted(rooms, reverse=True):
            for places in [[i] for i in rooms[room]] if self.deterministic else [rooms[room]]:
                yield from self._drawn({i: asked[i] for i in places}, requests, sampling, room)

    def _drawn(
        self, prompts: dict[int, Tokens], requests: Sequence[Request], sampling: Sampling, room: int
    ) -> Iterator[tuple[int, list[Completion]]]:
        """The answers to these prompts, each of at most ``room`` tokens."""
        places = list(prompts)
        seeds = [zlib.crc32(f"{sampling.seed} {requests[i].sample.id}".encode()) for i in places]
        how = drawing(self.model, self.tokenizer, sampling, room)
        found = self._draw(self.model, list(prompts.values()), seeds, sampling.n, how, self.batch_tokens)
        for number, answers in found:
            index = places[number]
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


def drawing(model: Any, tokenizer: Any, sampling: Sampling, room: int) -> Drawing:
    """How ``sampling`` is done with this model, in at most ``room`` tokens an answer."""
    return Drawing(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_new_tokens=room,
        end_tokens=end_tokens(model, tokenizer),
        ended=_stops(tokenizer, sampling.stop) if sampling.stop else None,
    )


def _stops(tokenizer: Any, stops: Sequence[str]) -> Callable[[list[int]], bool]:
    """Does an answer end in, or contain in its newest token, one of the strings?"""
    tail = max(len(stop) for stop in stops) + 4  # a character can take up to four tokens of one byte

    def ended(tokens: list[int]) -> bool:
        text = tokenizer.decode(tokens[-tail:], skip_special_tokens=True)
        return any(stop in text for stop in stops)

    return ended
