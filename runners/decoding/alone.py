"""Answers to one prompt by ``model.generate``, for texts that cannot share prefixes (``probe``)."""

from __future__ import annotations

import time
from typing import Any

import torch
from transformers import GenerationConfig

from runners.compat.transformers import reset_rotary
from runners.decoding.tokens import Tokens
from runners.decoding.types import DecodingSettings, Generated


@torch.inference_mode()
def generate_alone(
    model: Any, prompt: Tokens, seed: int, n: int, settings: DecodingSettings
) -> list[Generated]:
    """The ``n`` answers to a prompt, without log-probabilities."""
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
    was_training = model.training
    model.eval()
    began = time.perf_counter()
    torch.manual_seed(seed)
    ids = torch.tensor([prompt], device=model.device)
    reset_rotary(model)
    try:
        output = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    finally:
        reset_rotary(model)
        model.train(was_training)
    seconds = (time.perf_counter() - began) / n
    answers = [_cut(row, settings, seconds) for row in output[:, len(prompt) :].tolist()]
    return answers * (n // len(answers))


def _cut(tokens: list[int], settings: DecodingSettings, seconds: float) -> Generated:
    """The tokens up to the first end-of-sequence token or stop string."""
    for length in range(1, len(tokens) + 1):
        ended = tokens[length - 1] in settings.end_tokens
        if ended or (settings.has_stop and settings.has_stop(tokens[:length])):
            return Generated(tokens[:length], None, "stop", seconds)
    return Generated(tokens, None, "length", seconds)
