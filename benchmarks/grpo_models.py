"""Models that never end an answer, and prompts of a wanted length, for the measurements of training steps."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from runners.decoding.tokens import encode
from runners.nano import FOLDER
from runners.types import Request
from runners.weights.source import resolve
from tasks.task import Task
from tasks.types import Message, Sample

NEVER = "<|never|>"
"""An end token that is not in the vocabulary of the model's head."""
COPIED = ("*.json", "*.jinja", "*.txt", "*.model")
"""The files of a model that are copied; its weights are linked."""


def random_model(folder: Path, context: int, config: Any, dtype: torch.dtype = torch.float32) -> str:
    """A random model of this shape, with nano's tokenizer and an end token that it cannot write."""
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    _never_ending(tokenizer, folder)
    torch.manual_seed(0)
    config.max_position_embeddings, config.eos_token_id = context, tokenizer.eos_token_id
    model: Any = AutoModelForCausalLM.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    return str(folder)


def real_model(folder: Path, name: str) -> str:
    """A copy of a model that has its weights, and an end token that it cannot write."""
    source = Path(resolve(name).path)
    folder.mkdir()
    for pattern in COPIED:
        for file in source.glob(pattern):
            shutil.copy(file, folder)
    for file in source.glob("*.safetensors"):
        (folder / file.name).symlink_to(file.resolve())
    tokenizer = AutoTokenizer.from_pretrained(source)
    _never_ending(tokenizer, folder)
    for path in (folder / "config.json", folder / "generation_config.json"):
        if path.is_file():
            path.write_text(
                json.dumps(json.loads(path.read_text()) | {"eos_token_id": tokenizer.eos_token_id})
            )
    return str(folder)


def _never_ending(tokenizer: Any, folder: Path) -> None:
    padding = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.add_special_tokens({"eos_token": NEVER, "pad_token": padding})
    tokenizer.save_pretrained(folder)


def random_prompts(model: str, tokens: int, count: int, schema: float) -> list[tuple[Message, ...]]:
    """``count`` prompts of ``tokens`` tokens when rendered; the share ``schema`` of each is the same."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    words: list[str] = [str(tokenizer.decode([index])) for index in range(len(tokenizer))]
    words = [w for w in words if w[:1] == " " and w[1:].isalpha() and len(tokenizer.tokenize(2 * w)) == 2]
    empty = tokenizer.apply_chat_template(
        [{"role": "user", "content": ""}], add_generation_prompt=True, tokenize=False
    )
    own = tokens - len(tokenizer.tokenize(str(empty)))
    generator = random.Random(0)
    shared = generator.choices(words, k=int(schema * own))
    texts = ["".join(shared + generator.choices(words, k=own - len(shared))) for _ in range(count)]
    return [({"role": "user", "content": text},) for text in texts]


def real_prompts(
    model: str, task: Task, split: str, tokens: int, count: int, one_database: bool
) -> list[tuple[Message, ...]]:
    """``count`` prompts of a task whose rendered lengths are nearest to ``tokens``.

    Each is on another database, or all are on the database that has the nearest ones.
    """
    tokenizer = AutoTokenizer.from_pretrained(model)
    first: dict[str, list[Sample]] = {}
    for sample in task.samples(split):
        first.setdefault(sample.database, []).append(sample)
    lengths = {base: _length(tokenizer, task.messages(samples[0])) for base, samples in first.items()}
    nearest = sorted(
        (base for base in first if len(first[base]) >= count), key=lambda base: abs(lengths[base] - tokens)
    )
    samples = first[nearest[0]][:count] if one_database else [first[base][0] for base in nearest[:count]]
    return [tuple(task.messages(sample)) for sample in samples]


def _length(tokenizer: Any, messages: Sequence[Message]) -> int:
    return len(encode(tokenizer, [request(messages, 0)])[0])


def request(messages: Sequence[Message], number: int) -> Request:
    """A request with these messages and an empty sample."""
    return Request(Sample(id=str(number), question="", database="", gold=("",)), tuple(messages))
