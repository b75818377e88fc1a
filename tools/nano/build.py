"""Build nano from nothing: tokenizer, model and pretraining.

The corpus is generated during training, so no question is seen twice. The build is seeded: the same arguments
on the same machine and library versions give the same folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, PreTrainedTokenizerBase, Qwen3Config, Qwen3ForCausalLM

from tools.nano import tokenizer
from tools.nano.corpus import Page, pages
from tools.nano.layout import IGNORED, Batch, collate, pack
from tools.nano.schemas import TABLES


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the training: how many tables its databases have, and the shape of its batches."""

    until: float
    """The share of all steps at which the stage ends."""
    tables: tuple[int, ...]
    length: int
    """Tokens in one page; questions that do not fit are left out."""
    rows: int
    """Pages in one batch."""


STAGES = (Stage(0.15, (1, 2), 256, 12), Stage(0.35, (2, 3), 384, 8), Stage(1.0, TABLES, 512, 6))
"""Short prompts come first, because the model learns to copy names from them sooner."""
QUESTIONS = 12
"""The most questions on one page."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All settings on which the model depends."""

    steps: int = 3500
    lr: float = 0.02
    """Learning rate of the matrices (Muon)."""
    embedding_lr: float = 0.005
    """Learning rate of the embedding and the norms (AdamW)."""
    warmup: int = 50
    decay: float = 0.35
    """The share of the steps, at the end, over which the learning rates fall to zero."""
    clip: float = 1.0
    seed: int = 20_000
    tokenizer_pages: int = 1500
    layers: int = 5
    hidden: int = 128
    heads: int = 4
    inner: int = 256
    compiled: bool = True
    """``torch.compile``: 1.5 times as fast; needs a C++ compiler."""


def build(recipe: Recipe, out: Path, every: int = 500) -> None:
    """Train by a recipe and write the Hugging Face folder, at the end and after every ``every`` steps."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    tokens = tokenizer.train(_texts(islice(pages(recipe.seed + 1, QUESTIONS), recipe.tokenizer_pages)))
    model = Qwen3ForCausalLM(_config(recipe, tokens))
    model.config._attn_implementation = "sdpa"
    size = sum(parameter.numel() for parameter in model.parameters())
    print(f"{size:,} parameters, {len(tokens)} tokens in the vocabulary", flush=True)
    if recipe.compiled:
        model.model.compile(dynamic=False)
    _train(model, tokens, recipe, out, every)
    save(model, tokens, recipe, out)


def save(model: Qwen3ForCausalLM, tokens: PreTrainedTokenizerBase, recipe: Recipe, out: Path) -> None:
    """Write model (bf16), tokenizer, generation config and recipe to ``out``."""
    copy = Qwen3ForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=True,
        temperature=1.0,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
        max_new_tokens=128,
    )
    copy.bfloat16().save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    tokens.save_pretrained(out)
    (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n", encoding="utf-8")


def _texts(source: Iterator[Page]) -> Iterator[str]:
    for page in source:
        yield page.world.text
        for pair in page.pairs:
            yield pair.question
            yield pair.sql


def _config(recipe: Recipe, tokens: PreTrainedTokenizerBase) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=len(tokens),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        head_dim=recipe.hidden // recipe.heads,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )


def _train(
    model: Qwen3ForCausalLM, tokens: PreTrainedTokenizerBase, recipe: Recipe, out: Path, every: int
) -> None:
    optimizers = _optimizers(model, recipe)
    started, seen, losses = time.monotonic(), 0, []
    for step, batch in enumerate(_batches(tokens, recipe), start=1):
        loss = answer_loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * _schedule(step, recipe)
            optimizer.step()
            optimizer.zero_grad()
        seen += batch.ids.numel()
        losses.append(loss.item())
        if step % 50 == 0:
            seconds = time.monotonic() - started
            mean = sum(losses[-50:]) / 50
            print(f"step {step} loss {mean:.4f} {seen / seconds:,.0f} tokens/s {seconds:.0f} s", flush=True)
        if step % every == 0:
            save(model, tokens, recipe, out)


def answer_loss(model: Qwen3ForCausalLM, batch: Batch) -> Tensor:
    """Mean cross-entropy of the answers' tokens, in nats."""
    is_answer = batch.targets != IGNORED
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(
            input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
        ).last_hidden_state
        logits = model.lm_head(hidden[is_answer])
    return cross_entropy(logits.float(), batch.targets[is_answer])


def _optimizers(model: Qwen3ForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, where it needs half the tokens of AdamW; AdamW for the rest."""
    named = dict(model.named_parameters())
    matrices = [named.pop(name) for name in list(named) if named[name].ndim == 2 and "embed" not in name]
    return [
        torch.optim.Muon([{"params": matrices, "peak": recipe.lr}], weight_decay=0.01),
        torch.optim.AdamW(
            [{"params": list(named.values()), "peak": recipe.embedding_lr}],
            betas=(0.9, 0.98),
            weight_decay=0.0,
        ),
    ]


def _schedule(step: int, recipe: Recipe) -> float:
    """The share of the peak learning rate: a warm-up, a plateau, then a linear fall to 1 %."""
    left = (recipe.steps - step) / max(recipe.decay * recipe.steps, 1)
    return max(min(step / recipe.warmup, 1.0, left), 0.01)


def _batches(tokens: PreTrainedTokenizerBase, recipe: Recipe) -> Iterator[Batch]:
    """One batch of new pages for each step."""
    assert tokens.pad_token_id is not None
    done = 0
    for number, stage in enumerate(STAGES):
        source = pages(recipe.seed + 2 + number, QUESTIONS, stage.tables)
        last = round(stage.until * recipe.steps)
        for _ in range(last - done):
            packed = pack(list(islice(source, stage.rows)), tokens, stage.length)
            yield collate(packed, tokens.pad_token_id, stage.length)
        done = last
