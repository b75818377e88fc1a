"""``harness train`` on bad input: a line that names setting and remedy, before time is spent."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch

from harness.cli import main
from leaderboards import store
from runners.nano import FOLDER
from runners.weights import adapters, loading
from runners.weights.adapters import digest
from runners.weights.source import Source
from tasks.common.errors import ModelError

REWARDS = """
from rewards.types import Attempt, Reason, Score

class Raises:
    def __call__(self, attempt: Attempt) -> Score:
        raise ValueError("no such thing")

class Nan:
    def __call__(self, attempt: Attempt) -> Score:
        return Score(float("nan"), Reason.CORRECT)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that cannot be trained as they are, and adapters."""
    place = tmp_path_factory.mktemp("models")
    changed(place / "short", "config.json", max_position_embeddings=150)
    changed(place / "mute", "tokenizer_config.json")
    (place / "mute" / "chat_template.jinja").unlink()
    huge = {"hidden_size": 65_536, "intermediate_size": 262_144, "num_hidden_layers": 100}
    changed(place / "giant", "config.json", **huge, layer_types=["full_attention"] * 100)
    for name, seed in (("one", 0), ("other", 1)):
        tiny_models.save(place / name, seed=seed, max_position_embeddings=4096)
    adapter(place / "one", place / "adapter")
    (place / "rewarding.py").write_text(REWARDS)
    return place


def changed(folder: Path, file: str, **settings: object) -> None:
    """A copy of nano with other settings."""
    shutil.copytree(FOLDER, folder)
    kept = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(kept | settings))


def adapter(base: Path, out: Path) -> None:
    """A LoRA adapter as peft saves it."""
    from peft import LoraConfig, get_peft_model

    model: Any = loading.load(str(base))[0]
    get_peft_model(
        model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    ).save_pretrained(out)


@pytest.mark.parametrize(
    ("method", "model", "settings", "says"),
    [
        (
            "grpo",
            "nano",
            ["train.group_size=1"],
            r"grpo\.group_size: Input should be greater than 1 \(got 1\)",
        ),
        (
            "grpo",
            "nano",
            ["train.prompts_per_step=7"],
            r"prompts_per_step 7 is no multiple of micro_groups 2: set train\.prompts_per_step=8",
        ),
        (
            "sft",
            "nano",
            ["train.batch_size=9", "train.micro_batch=4"],
            r"batch_size 9 is no multiple of micro_batch 4: set train\.batch_size=12",
        ),
        ("grpo", "nano", ["train.prompts_per_step=512"], r"64 prompts are too few for .*512: lower it"),
        (
            "sft+grpo",
            "nano",
            ["grpo.max_new_tokens=4000"],
            r"context of 2048: lower train\.max_new_tokens, or",
        ),
        ("grpo", "short", [], r"183 prompt tokens .* context of 150: .*prompt\.schema"),
        ("sft", "short", [], r"tokens, more than .* context of 150: .*prompt\.schema.*train\.max_length"),
        (
            "sft",
            "mute",
            [],
            r"mute: its tokenizer has no chat template: use the instruct version of the model",
        ),
        (
            "grpo",
            "mute",
            [],
            r"mute: its tokenizer has no chat template: use the instruct version of the model",
        ),
        (
            "sft+grpo",
            "nano",
            ["scoring.reward=rewarding:Raises"],
            r"scoring\.reward: rewarding:Raises raised ValueError: no such thing",
        ),
        (
            "grpo",
            "nano",
            ["scoring.reward=rewarding:Nan"],
            r"question train-00001 is nan: fix scoring\.reward",
        ),
        ("sft", "giant", [], r"weights and optimizer need .* GB and there are .*: set train\.lora\.r"),
        ("grpo", "giant", [], r"weights and optimizer need .* GB and there are .*: set train\.lora\.r"),
        ("grpo", "other+adapter", [], r"adapter was trained on '.*one', and .*other has other weights: name"),
        (
            "sft",
            "nano+adapter",
            [],
            r"adapter was trained on '.*one', and .*nano/model has other weights: name",
        ),
    ],
)
def test_bad_input_is_one_line_before_anything_is_evaluated(
    home: Path,
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    method: str,
    model: str,
    settings: list[str],
    says: str,
) -> None:
    monkeypatch.syspath_prepend(str(made))
    name = "+".join(part if part == "nano" else str(made / part) for part in model.split("+"))
    command = ["train", "--task", "pocket", "--method", method, "--model", name, "--limit", "64"]
    settings = [part for one in settings for part in ("--set", one)]
    assert main([*command, "--out", str(home / "out"), "--workers", "1", "--trust-task", *settings]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("harness train: ")
    assert re.search(says, line), line
    assert not (home / "out").exists() and not store.runs()


def test_a_moved_base_keeps_its_adapter(made: Path, tmp_path: Path) -> None:
    """With a note of ours and without; also where the base was divided and rounded to bfloat16."""
    moved, rounded = tmp_path / "moved", tmp_path / "rounded"
    shutil.copytree(made / "one", moved)
    model: Any = loading.load(str(moved))[0]
    model.to(torch.bfloat16).save_pretrained(rounded, max_shard_size="40KB")
    assert len(list(rounded.glob("*.safetensors"))) > 1
    shutil.copytree(made / "adapter", tmp_path / "noted")
    adapters.record_base(Source(str(made / "one")), tmp_path / "noted")
    config = tmp_path / "noted" / "adapter_config.json"
    config.write_text(config.read_text().replace(str(made / "one"), "/gone"))
    for base in (made / "one", moved, rounded):
        for one in (made / "adapter", tmp_path / "noted"):
            adapters.check_base(Source(str(base), adapter=str(one)))
    with pytest.raises(ModelError, match="has other weights"):
        adapters.check_base(Source(str(made / "other"), adapter=str(tmp_path / "noted")))


def test_a_hub_name_can_only_be_doubted(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "adapter", tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(config.read_text().replace(str(made / "one"), "org/name"))
    adapters.check_base(Source("org/name", "main", str(tmp_path / "adapter")))
    adapters.check_base(Source(str(made / "one"), adapter=str(tmp_path / "adapter")))
    with pytest.warns(UserWarning, match="was trained on org/name, not on org/other"):
        adapters.check_base(Source("org/other", None, str(tmp_path / "adapter")))
    assert digest(Source("org/never-loaded")) == ""
