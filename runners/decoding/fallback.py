"""Draw answers through ``model.generate``, for models whose prompts cannot be shared (``probe``)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from runners.decoding.generation import Drawing, Drawn
from runners.decoding.prefix_cache import Tokens


@torch.inference_mode()
def draw_separately(
    model: Any, prompts: Sequence[Tokens], seeds: Sequence[int], n: int, how: Drawing, batch_tokens: int = 0
) -> Iterator[tuple[int, list[Drawn]]]:
    """``decode.draw`` without sharing and without log-probabilities, prompt by prompt."""
    was_training = model.training
    model.eval()
    settings = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=how.max_new_tokens,
        do_sample=how.temperature > 0,
        temperature=how.temperature or None,
        top_p=how.top_p if how.temperature > 0 else None,
        top_k=0 if how.temperature > 0 else None,
        num_return_sequences=n if how.temperature > 0 else 1,
        eos_token_id=list(how.end_tokens),
        pad_token_id=how.end_tokens[0],
    )
    try:
        for index, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            began = time.perf_counter()
            torch.manual_seed(seed)
            ids = torch.tensor([prompt], device=model.device)
            output = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
            seconds = (time.perf_counter() - began) / n
            drawn = [_cut(row, how, seconds) for row in output[:, len(prompt) :].tolist()]
            yield index, drawn * (n // len(drawn))
    finally:
        model.train(was_training)


def _cut(tokens: list[int], how: Drawing, seconds: float) -> Drawn:
    """The tokens up to the first end token or stop string."""
    for length in range(1, len(tokens) + 1):
        if tokens[length - 1] in how.end_tokens or (how.ended and how.ended(tokens[:length])):
            return Drawn(tokens[:length], None, "stop", seconds)
    return Drawn(tokens, None, "length", seconds)
