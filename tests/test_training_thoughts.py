"""GRPO over several turns whose earlier thoughts are dropped: each row is learned as the text it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from test_training import GRPO, letters, requests
from test_turns_alike import QWEN
from transformers import TrainerCallback

from runners.training import policy
from runners.training.callbacks import Hooks, TrainingCallback
from runners.training.folder import RunFolder
from runners.training.grpo import make_trainer
from runners.training.run import run_training
from runners.types import Reward
from runners.weights import loading
from runners.weights.source import resolve
from tasks.types import Sample

CLOSE = "</think>"
OPENS = QWEN.replace("<|assistant|>{% endif", "<|assistant|><think>{% endif")
"""Opens a thought in the prompt, and drops earlier ones."""
EMPTY = QWEN.replace("<|assistant|>{% endif", "<|assistant|><think></think>{% endif")
"""Puts an empty thought into the prompt, which later turns are not shown."""
CONFIG = GRPO.model_copy(
    update={"max_turns": 3, "max_new_tokens": 10, "max_steps": 1, "max_grad_norm": 1e9, "temperature": 0.8}
)
COMPLAINT = "Your query failed: "


def thinking(folder: Path, template: str) -> str:
    """A tiny model, every tenth of whose tokens or so ends a thought."""
    tokenizer, model = tiny_models.tokenizer(), tiny_models.model()
    tokenizer.chat_template = template
    tokenizer.add_special_tokens({"additional_special_tokens": [CLOSE]})
    weight = model.get_input_embeddings().weight
    with torch.no_grad():
        weight += 0.1  # what all tokens have in common changes no probability
        weight[tokenizer.convert_tokens_to_ids(CLOSE) % len(weight)] += 0.06
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def complaints(samples: Sequence[Sample], texts: Sequence[str], before: Sequence[str]) -> list[str]:
    """So that rows of one group take one, two or three turns, and get different feedback."""
    return [f"{COMPLAINT}{len(text)}" if len(text) % 3 else "" for text in texts]


def rewarded(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
    return [
        Reward((one.value or 0) + len(text) % 7)
        for one, text in zip(letters(samples, texts), texts, strict=True)
    ]


class Learned(TrainerCallback):
    """Of the first step: its rows, their log-probabilities by the trainer, and its gradients."""

    def __init__(self, trainer: Any) -> None:
        self.trainer, self.rows = trainer, list[dict[str, Any]]()
        self.gradients: dict[str, torch.Tensor] = {}
        self.before = {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        if self.rows:
            return
        self.gradients = {
            name: value.grad.clone()
            for name, value in self.trainer.model.named_parameters()
            if value.grad is not None
        }
        for batch in self.trainer._buffered_inputs:
            ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
            mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
            with torch.no_grad():
                found, *_ = self.trainer._get_per_token_logps_and_entropies(
                    self.trainer.model, ids, mask, batch["completion_ids"].shape[1]
                )
            for i in range(len(ids)):
                row = {name: value[i] for name, value in batch.items() if value.dim()}
                self.rows.append(row | {"found": found[i], "all": batch["num_items_in_batch"]})


def by_itself(model: Any, row: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, list[int], list[int]]:
    """The log-probabilities of a row's own tokens by a plain forward over its text without padding,
    those of the trainer, the prompt, and what follows it before the last answer."""
    prompt = row["prompt_ids"][row["prompt_mask"].bool()].tolist()
    length = int(row["completion_mask"].sum())
    tokens = row["completion_ids"][:length].tolist()
    logits = model(input_ids=torch.tensor([prompt + tokens])).logits[0] / CONFIG.temperature
    logps = logits[len(prompt) - 1 : -1].log_softmax(-1)
    chosen = logps.gather(1, torch.tensor(tokens, dtype=torch.long)[:, None])[:, 0]
    own = row["tool_mask"][:length].bool()
    unsampled = [i for i, mine in enumerate(own.tolist()) if not mine]
    return chosen[own], row["found"][:length][own], prompt, tokens[: unsampled[-1] + 1 if unsampled else 0]


@pytest.mark.parametrize("template", [QWEN, OPENS, EMPTY], ids=["drops", "opens", "empty"])
@pytest.mark.parametrize("shared", [True, False])
def test_rows_with_different_prompts_in_a_group_are_learned_as_they_stand(
    tmp_path: Path, template: str, shared: bool
) -> None:
    name = thinking(tmp_path / "tiny", template)
    config = CONFIG.model_copy(update={"shared_prefix": shared})
    answers: list[tuple[str, str]] = []

    def score(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
        answers.extend((sample.id, text) for sample, text in zip(samples, texts, strict=True))
        return rewarded(samples, texts)

    folder = RunFolder(tmp_path / "out", {})
    callback = TrainingCallback(folder, config, Hooks(feedback=complaints))
    tokenizer = loading.load_tokenizer(resolve(name))
    source, actor = policy.load_policy(name, config, folder)
    trainer = make_trainer(actor, tokenizer, requests(), score, callback)
    learned = Learned(trainer)
    trainer.add_callback(learned)
    run_training(trainer, source, callback)

    model = loading.load_model(source, "float32")
    model.load_state_dict(learned.before)
    model.zero_grad()
    prompts, total = list[tuple[int, ...]](), torch.zeros(())
    for row in learned.rows:
        if not row["completion_mask"].any():
            continue  # of a group without spread
        expected, found, prompt, before = by_itself(model, row)
        assert torch.allclose(expected, found, atol=2e-5)
        total = total - (torch.exp(expected - expected.detach()) * row["advantages"]).sum() / row["all"]
        prompts.append(tuple(prompt))
        shown = tokenizer.decode(prompt + before).rpartition("<|assistant|>")[0]
        assert "think>" not in shown, "earlier thoughts are not shown"
    total.backward()
    wanted = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    assert wanted.keys() == learned.gradients.keys() and len(wanted) > 8
    for key, gradient in wanted.items():
        assert gradient.norm() > 0 and (gradient - learned.gradients[key]).norm() <= 1e-4 * gradient.norm()
    groups = [prompts[i : i + GRPO.group_size] for i in range(0, len(prompts), GRPO.group_size)]
    assert any(len(set(group)) > 1 for group in groups), "rows of one group have different prompts"
    assert any(CLOSE in text for _, text in answers), "there are thoughts to drop"
