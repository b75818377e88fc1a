"""What a training will need, predicted: recipes hold what they say, what cannot fit is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import yaml
from test_training import SFT, lessons
from transformers import Qwen3Config

from harness.cli import main
from harness.plan import RECIPES
from runners import models
from runners.config import GrpoConfig, LoraSpec, SftConfig
from runners.plan import Load, Plan, Shape, plan, shape
from runners.sft import train_sft
from tasks.errors import ModelError

PROMPT, ANSWER = 1200, {"sft": 80, "grpo": 256}
KINDS: dict[str, type[SftConfig] | type[GrpoConfig]] = {"sft": SftConfig, "grpo": GrpoConfig}


@pytest.fixture(scope="module")
def eight_billion() -> Shape:
    """Qwen3-8B's."""
    return shape(
        Qwen3Config(
            vocab_size=151_936,
            hidden_size=4096,
            intermediate_size=12_288,
            num_hidden_layers=36,
            num_attention_heads=32,
            num_key_value_heads=8,
            head_dim=128,
            tie_word_embeddings=False,
        )
    )


def of_recipe(path: Path, method: str, model: Shape) -> Plan:
    recipe: dict[str, Any] = yaml.safe_load(path.read_text())
    settings = {**recipe["train"], **recipe[method]}
    for name in ("batch_size", "prompts_per_step", "refill"):
        if name in settings:
            settings[name] //= recipe.get("processes", 1)
    machine = recipe["machine"]
    load = Load(PROMPT, ANSWER[method], True, float(machine["flops"]), float(machine["bandwidth"]))
    return plan(model, KINDS[method].model_validate(settings), load)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_recipe_fits_its_machine_and_says_what_the_formula_says(path: Path, eight_billion: Shape) -> None:
    recipe = yaml.safe_load(path.read_text())
    for method in KINDS:
        found = of_recipe(path, method, eight_billion)
        assert found.peak < 0.9 * recipe["machine"]["memory"] * 1e9
        assert recipe["predicted"][f"{method}_gb"] == pytest.approx(found.peak / 1e9, abs=0.1)
    seconds = sum(of_recipe(path, "grpo", eight_billion).seconds.values())
    assert recipe["predicted"]["grpo_seconds"] == pytest.approx(seconds, rel=0.02)


def test_eight_billion_in_four_bits_with_rank_256_fits_24_gb(eight_billion: Shape) -> None:
    assert eight_billion.weights == 8_190_735_360
    found = of_recipe(RECIPES / "24gb.yaml", "grpo", eight_billion)
    assert 11e9 < found.static < found.peak < 24e9
    full = plan(eight_billion, SftConfig(), Load(PROMPT, 80))
    assert full.static > 120e9


def test_what_is_held_is_what_a_model_and_its_adapters_weigh(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    model: Any = tiny_models.model()
    sizes = shape(model.config)
    assert sizes.weights == sum(one.numel() for one in model.parameters())
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    adapters = sum(one.numel() for one in adapted.parameters() if one.requires_grad)
    found = plan(sizes, SftConfig(lora=LoraSpec(r=4)), Load(10, 5, gpu=False))
    assert found.memory["trained"] == 16 * adapters and found.memory["base"] == 4 * sizes.weights


def test_a_model_that_cannot_fit_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    folder = Path(tiny_models.save(tmp_path / "giant"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_size": 65_536, "intermediate_size": 262_144, "num_hidden_layers": 100}
    config["layer_types"] = ["full_attention"] * 100
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ModelError, match=r"weights and optimizer need .* GB and there are .*: set train\.lora"
    ):
        train_sft(str(folder), lessons(), SFT, tmp_path / "out")


def test_plan_prints_and_refuses_by_the_command_line(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [
        "train",
        "--task",
        "pocket",
        "--method",
        "sft+grpo",
        "--model",
        "nano",
        "--limit",
        "20",
        "--plan",
    ]
    command += ["--out", str(tmp_path / "o")]
    assert main([*command, "--recipe", "24gb", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["predicted"]) == {"sft", "grpo"} and told["machine"]["memory"] == 24e9
    assert told["predicted"]["grpo"]["seconds_a_step"]["sampling"] > 0
    monkeypatch.setattr(models, "memory", lambda: 1_100_000_000)
    assert main(command) == 2
    shown = capsys.readouterr()
    assert "peak, GB" in shown.out and "needs about" in shown.err and "train." in shown.err
    assert main([*command, "--recipe", "24g"]) == 2
    assert "did you mean '24gb'?" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
