"""Generate with shared prefixes where ``probe`` says that they change nothing, else by ``model.generate``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from runners.compat.transformers import reset_rotary
from runners.decoding.generation import DecodingSettings, Generated, generate
from runners.decoding.tokens import Tokens


def generate_within(
    model: Any,
    prompts: Sequence[Tokens],
    seeds: Sequence[int],
    n: int,
    settings: DecodingSettings,
    batch_tokens: int = 0,
) -> Iterator[tuple[int, list[Generated]]]:
    """As ``generation.generate``, but texts that can be longer than ``longest_shared`` share no prefixes."""
    fits = [len(prompt) + settings.max_new_tokens <= settings.longest_shared for prompt in prompts]
    together, alone = ([i for i, fit in enumerate(fits) if fit is kind] for kind in (True, False))
    reset_rotary(model)
    for indices, function in ((together, generate), (alone, _generate_separately)):
        chosen, own_seeds = [prompts[i] for i in indices], [seeds[i] for i in indices]
        if chosen:
            for number, answers in function(model, chosen, own_seeds, n, settings, batch_tokens):
                yield indices[number], answers


@torch.inference_mode()
def _generate_separately(
    model: Any,
    prompts: Sequence[Tokens],
    seeds: Sequence[int],
    n: int,
    settings: DecodingSettings,
    batch_tokens: int = 0,
) -> Iterator[tuple[int, list[Generated]]]:
    """As ``generation.generate``, prompt by prompt, without log-probabilities; ignores ``batch_tokens``."""
    was_training = model.training
    model.eval()
    sampled = settings.temperature > 0
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=settings.max_new_tokens,
        do_sample=sampled,
        temperature=settings.temperature or None,
        top_p=settings.top_p if sampled else None,
        top_k=0 if sampled else None,
        num_return_sequences=n if sampled else 1,
        eos_token_id=list(settings.end_tokens),
        pad_token_id=settings.end_tokens[0],
    )
    try:
        for index, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            began = time.perf_counter()
            torch.manual_seed(seed)
            reset_rotary(model)
            ids = torch.tensor([prompt], device=model.device)
            output = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
            seconds = (time.perf_counter() - began) / n
            answers = [_cut(row, settings, seconds) for row in output[:, len(prompt) :].tolist()]
            yield index, answers * (n // len(answers))
    finally:
        model.train(was_training)


def _cut(tokens: list[int], settings: DecodingSettings, seconds: float) -> Generated:
    """The tokens up to the first end-of-sequence token or stop string."""
    for length in range(1, len(tokens) + 1):
        ended = tokens[length - 1] in settings.end_tokens
        if ended or (settings.has_stop and settings.has_stop(tokens[:length])):
            return Generated(tokens[:length], None, "stop", seconds)
    return Generated(tokens, None, "length", seconds)
