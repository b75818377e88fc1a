"""The columns of ``architectures.py`` on training: ``grpo``, ``sft``, ``lora`` and ``four_bit``.

The reference is always the model's own forward of each text alone, with a fresh copy of the model.
"""

from __future__ import annotations

import copy
import json
import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tiny_architectures import CONTEXT, ORIGINAL, WINDOW
from torch import Tensor

from runners.types import Request, Reward, TrainingExample
from tasks.types import Sample

PROMPTS = (WINDOW - 2, ORIGINAL - 30, ORIGINAL - 8, ORIGINAL + 10, CONTEXT - 30)
"""Tokens of the prompts, around the boundaries of windows and rotary embeddings."""
GROUP, LONGEST, TEMPERATURE = 3, 14, 0.7
TOLERANCE = 1e-3
"""Largest relative difference: of a log-probability, of a weight's gradient, of a loss."""


def grpo(folder: Path) -> str:
    """Log-probabilities and gradients of GRPO's loss, and of the same pass without shared prefixes."""
    from runners.decoding.probe import refusal
    from runners.training.noise import remove_noise
    from runners.weights.loading import load

    model, tokenizer = load(str(folder))
    remove_noise(model)
    texts = _texts(tokenizer)
    expected, slopes = _separate(model, texts)
    found, gradients, unshared = _learned(copy.deepcopy(model), texts, refusal(model))
    if fault := _fault(expected, slopes, found, gradients):
        return f"WRONG: {fault}"
    if unshared:
        return f"plain: {unshared}"
    found, gradients, _ = _learned(copy.deepcopy(model), texts, "asked for")
    fault = _fault(expected, slopes, found, gradients)
    return f"WRONG: without shared prefixes {fault}" if fault else "shared"


def _texts(tokenizer: Any) -> list[tuple[list[int], list[int]]]:
    """(prompt, answer) of all groups: prompts share their beginning, answers some first tokens."""
    words = tokenizer(
        "select name from member where joined > 2020 table visit day integer order by"
    ).input_ids
    dice = random.Random(0)
    schema = dice.choices(words, k=max(PROMPTS))
    texts = []
    for length in PROMPTS:
        prompt = [*schema[: length - 4], *dice.choices(words, k=4)]
        start = dice.choices(words, k=3)
        for number in range(GROUP):
            texts.append((prompt, [*start[:number], *dice.choices(words, k=dice.randint(4, LONGEST - 3))]))
    return texts


def _slope(number: int, count: int) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(number))


def _separate(model: Any, texts: Sequence[tuple[list[int], list[int]]]) -> tuple[Tensor, dict[str, Tensor]]:
    """Log-probabilities of all answers' tokens, and the gradients of a sum over them, each text alone."""
    found, gradients = [], dict[str, Tensor]()
    for number, (prompt, answer) in enumerate(texts):
        alone = copy.deepcopy(model).train()  # some rotary embeddings remember the longest text
        logits = alone(input_ids=torch.tensor([prompt + answer]), use_cache=False).logits
        log_probs = (logits[0, len(prompt) - 1 : -1] / TEMPERATURE).log_softmax(-1)
        values = log_probs.gather(-1, torch.tensor(answer)[:, None])[:, 0]
        (values * _slope(number, len(answer))).sum().backward()
        found.append(values.detach())
        for name, weights in alone.named_parameters():
            if weights.grad is not None:
                gradients[name] = gradients.get(name, 0) + weights.grad
    return torch.cat(found), gradients


def _learned(
    model: Any, texts: Sequence[tuple[list[int], list[int]]], unshared: str
) -> tuple[Tensor, dict[str, Tensor], str]:
    """The same by the loss, from the batch that TRL makes, and the reason why prefixes are not shared."""
    from runners.training.head import find_method
    from runners.training.layout import Sizes
    from runners.training.loss import use_method

    method = find_method(model, unshared)
    use_method(model.train(), method, TEMPERATURE, ("log_probs", "entropy"), Sizes(CONTEXT, 2 * CONTEXT))
    width = max(len(prompt) for prompt, _ in texts)
    rows = []
    for prompt, answer in texts:
        before, after = [0] * (width - len(prompt)), [0] * (LONGEST - len(answer))
        held = [*before, *[1] * len(prompt + answer), *after]
        targets = [*[-100] * width, *answer, *[-100] * len(after)]
        rows.append([[*before, *prompt, *answer, *after], held, targets])
    ids, mask, labels = torch.tensor(rows).unbind(1)
    output = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True)
    found = [row[held] for row, held in zip(output.log_probs, output.label_mask, strict=True)]
    sum((values * _slope(i, len(values))).sum() for i, values in enumerate(found)).backward()
    gradients = {name: weights.grad for name, weights in model.named_parameters() if weights.grad is not None}
    return torch.cat(found).detach(), gradients, method.unshared


def _fault(expected: Tensor, slopes: dict[str, Tensor], found: Tensor, gradients: dict[str, Tensor]) -> str:
    """What differs, or ""."""
    if (gap := float((found - expected).abs().max())) > TOLERANCE:
        return f"log-probabilities differ by {gap:.1g}"
    largest = max(float(slope.norm()) for slope in slopes.values())
    for name in sorted(slopes.keys() | gradients.keys()):
        zero = torch.zeros(())
        one, other = slopes.get(name, zero), gradients.get(name, zero)
        if float((one - other).norm()) > TOLERANCE * (float(one.norm()) + TOLERANCE * largest):
            return f"the gradient of {name} differs"
    return ""


def sft(folder: Path) -> str:
    """The loss of a step of SFT, and that the result loads again with other weights."""
    _plain_loss(folder)
    return _fine_tuned(folder, lora=None)


def lora(folder: Path) -> str:
    """A step of SFT and one of GRPO with LoRA: all adapters learn, and merging keeps the logits."""
    _plain_loss(folder)
    found = _fine_tuned(folder, lora={"r": 4, "alpha": 8})
    if found.startswith("WRONG"):
        return found
    return _reinforced(folder)


def four_bit(folder: Path) -> str:
    """A step of SFT on weights of 4 bits."""
    _plain_loss(folder)
    return _fine_tuned(folder, lora={"r": 4, "alpha": 8, "four_bit": True})


def _plain_loss(folder: Path) -> None:
    """Leave out what makes a loss random, or adds to the loss of the tokens."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for name in part:
            if isinstance(part[name], float) and ("drop" in name or "jitter" in name or "aux_loss" in name):
                part[name] = 0.0
    file.write_text(json.dumps(config))


def _examples() -> list[TrainingExample]:
    table = "table member (id integer, name text, joined date)"
    return [
        TrainingExample(({"role": "user", "content": f"{table} How many {number}?"},), f"SELECT {number}")
        for number in range(4)
    ]


def _fine_tuned(folder: Path, lora: dict[str, Any] | None) -> str:
    from runners.training.config import SftConfig
    from runners.training.sft import train_sft
    from runners.weights.loading import load

    settings = {"max_steps": 1, "batch_size": 4, "micro_batch": 4, "learning_rate": 1e-2, "warmup": 0}
    config = SftConfig.model_validate({**settings, "lora": lora})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = train_sft(str(folder), _examples(), config, folder.parent / "sft")
    base, tokenizer = load(str(folder), four_bit=bool(lora and lora.get("four_bit")))
    expected = _loss(base, tokenizer)
    loss = json.loads((folder.parent / "sft" / "curve.jsonl").read_text().splitlines()[0])["loss"]
    if abs(loss - expected) > TOLERANCE * expected:
        return f"WRONG: the loss is {loss:.5f}, not {expected:.5f}"
    return _merged(folder, folder.parent / "sft", result.model, bool(lora)) or _cell(caught)


def _loss(model: Any, tokenizer: Any) -> float:
    """The mean loss of the answers' tokens, each text alone."""
    from runners.training.sft_rows import sft_rows

    losses = []
    for row in sft_rows(tokenizer, _examples()):
        ids = torch.tensor([row["input_ids"]])
        held = torch.tensor(row["completion_mask"])[1:].bool()
        with torch.no_grad():
            log_probs = model(input_ids=ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)
        losses.append(-log_probs.gather(-1, ids[0, 1:, None])[:, 0][held])
    return float(torch.cat(losses).mean())


def _reinforced(folder: Path) -> str:
    from runners.training.config import GrpoConfig
    from runners.training.grpo import train_grpo

    settings = {
        "max_steps": 1,
        "prompts_per_step": 2,
        "group_size": 4,
        "micro_groups": 2,
        "max_new_tokens": 6,
    }
    config = GrpoConfig.model_validate(
        {**settings, "learning_rate": 1e-2, "warmup": 0, "lora": {"r": 4, "alpha": 8}}
    )
    requests = [
        Request(Sample(str(i), "", "tiny", ("SELECT 1",)), example.messages)
        for i, example in enumerate(_examples())
    ]
    scores = random.Random(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = train_grpo(
            str(folder),
            requests,
            lambda samples, texts: [Reward(scores.random()) for _ in texts],
            config,
            folder.parent / "grpo",
        )
    return _merged(folder, folder.parent / "grpo", result.model, True) or _cell(caught)


def _merged(folder: Path, out: Path, result: str, lora: bool) -> str:
    """What is wrong with the result of a training, or ""."""
    from runners.weights.loading import load

    ids = torch.arange(20, 40)[None]
    with torch.no_grad():
        base, after = (load(name)[0](input_ids=ids).logits for name in (str(folder), result))
        if torch.equal(base, after) or not bool(after.isfinite().all()):
            return "WRONG: the weights have not changed, or are no numbers"
        if not lora:
            return ""
        together = load(f"{folder}+{out}/adapter")[0](input_ids=ids).logits
    if float((together - after).abs().max()) > TOLERANCE * float(after.abs().max()):
        return "WRONG: merging the adapter changes the logits"
    adapters = load_file(out / "adapter" / "adapter_model.safetensors")
    still = [name for name, weights in adapters.items() if "lora_B" in name and not bool(weights.any())]
    return f"WRONG: {len(still)} adapters have not learned, such as {still[0]}" if still else ""


def _cell(caught: Sequence[warnings.WarningMessage]) -> str:
    messages = [str(one.message) for one in caught]
    reasons = [message.partition("is computed: ")[2] for message in messages if "every copy" in message]
    return f"plain: {reasons[0]}" if reasons else "shared"
