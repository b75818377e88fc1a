"""What a training will need, predicted: recipes hold what they say, what cannot fit is refused."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
import yaml
from test_training import SFT, examples
from transformers import Qwen3Config

from harness.cli import main
from harness.training.plan import RECIPES, Machine, Plans, StagePlan
from runners.compat.peft import bare_model
from runners.training import activations
from runners.training.adopt import adopt
from runners.training.config import GrpoConfig, LoraSpec, SamplingVllm, SftConfig
from runners.training.layout import WITHOUT_MASK, Text, pack
from runners.training.plan import Plan, Shape, Workload, model_shape, plan
from runners.training.sft import train_sft
from runners.training.speed import machine_speed
from runners.weights import loading
from tasks.common.errors import ModelError

PROMPT, ANSWER = 1200, {"sft": 80, "grpo": 256}
KINDS: dict[str, type[SftConfig] | type[GrpoConfig]] = {"sft": SftConfig, "grpo": GrpoConfig}


@pytest.fixture(scope="module")
def eight_billion() -> Shape:
    """Qwen3-8B's."""
    return model_shape(
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
    machine = recipe["machine"]
    load = Workload(
        PROMPT,
        ANSWER[method],
        memory=machine["memory"] * 1e9,
        processes=recipe.get("processes", 1),
        flops=float(machine["flops"]),
        bandwidth=float(machine["bandwidth"]),
    )
    return plan(model, KINDS[method].model_validate({**recipe["train"], **recipe[method]}), load)


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
    full = plan(eight_billion, SftConfig(), Workload(PROMPT, 80))
    assert full.static > 120e9


def test_what_is_held_is_what_a_model_and_its_adapters_weigh(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    model: Any = tiny_models.model()
    sizes = model_shape(model.config)
    assert sizes.weights == sum(one.numel() for one in model.parameters())
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    adapters = sum(one.numel() for one in adapted.parameters() if one.requires_grad)
    found = plan(sizes, SftConfig(lora=LoraSpec(r=4)), Workload(10, 5, gpu=False))
    assert found.memory["trained"] == 12 * adapters and found.memory["gradients"] == 4 * adapters
    assert found.memory["base"] == 4 * sizes.weights


@pytest.mark.parametrize("lora", [None, LoraSpec(r=4), LoraSpec(r=4, four_bit=True)])
@pytest.mark.parametrize("shape", ["qwen3", "llama", "gemma3"])
def test_activations_are_those_that_a_pass_keeps(shape: str, lora: LoraSpec | None) -> None:
    policy: Any = tiny_models.model(shape).train()
    model = bare_model(activations.with_adapters(policy, lora) if lora else policy)
    assert adopt(model)
    [layout] = pack([Text(tuple(range(5, 205)), ((199, 3, 0),))], WITHOUT_MASK)
    weights = {each.untyped_storage().data_ptr() for each in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes() if storage.data_ptr() not in weights else 0
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        held = model.get_decoder()(**layout.inputs(model, model.device), use_cache=False)
    assert held.last_hidden_state.requires_grad
    predicted = model_shape(model.config).kept(lora, False)
    assert predicted and 200 * predicted.token == pytest.approx(sum(kept.values()), rel=0.02)


def test_a_gpu_s_only_pass_has_gradients_in_the_place_of_activations(eight_billion: Shape) -> None:
    one, two = (
        plan(eight_billion, GrpoConfig(prompts_per_step=count, micro_groups=1), Workload(PROMPT, 256))
        for count in (1, 2)
    )
    assert two.peak - one.peak == min(one.memory["gradients"], one.memory["learning"])


def test_a_cpu_s_measured_speed_predicts_seconds_in_proportion_to_the_work() -> None:
    sizes = model_shape(tiny_models.model().config)
    speed = machine_speed(sizes, four_bit=True)
    assert min(asdict(speed).values()) > 1e6
    config = GrpoConfig(prompts_per_step=4, micro_groups=2)
    load = Workload(100, 16, gpu=False, flops=1e9, bandwidth=1e9, few=5e8)
    few, many = (plan(sizes, c, load) for c in (config, config.model_copy(update={"prompts_per_step": 8})))
    assert many.seconds["sampling"] > 1.5 * few.seconds["sampling"]
    assert many.memory["learning"] == few.memory["learning"]
    longer = plan(sizes, config, replace(load, prompt=1600))
    assert longer.memory["learning"] < 16 * few.memory["learning"]  # no mask of all tokens by all


def test_a_model_that_cannot_fit_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    folder = Path(tiny_models.save(tmp_path / "giant"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_size": 65_536, "intermediate_size": 262_144, "num_hidden_layers": 100}
    config["layer_types"] = ["full_attention"] * 100
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ModelError, match=r"weights and optimizer need .* GB and there are .*: set train\.lora"
    ):
        train_sft(str(folder), examples(), SFT, tmp_path / "out")


def test_processes_share_a_step_and_not_the_weights(eight_billion: Shape) -> None:
    config = GrpoConfig(prompts_per_step=16, micro_groups=2, lora=LoraSpec(r=256))
    one, four = (
        plan(eight_billion, config, Workload(PROMPT, 256, processes=count, flops=1e14, bandwidth=1e12))
        for count in (1, 4)
    )
    assert (one.own, one.passes, four.own, four.passes) == (16, 8, 4, 2)
    for part in ("base", "reference", "learning"):
        assert four.memory[part] == one.memory[part]
    adapters = 256 * eight_billion.adapter_width
    assert four.memory["gradients"] - one.memory["gradients"] == 4 * adapters  # to be sent
    assert four.memory["sampling"] == one.memory["sampling"] / 4
    optimizer = 40 * 256 * eight_billion.adapter_width / 1e12  # each process moves all of it
    shared = (one.seconds["learning"] - optimizer) / 4
    assert four.seconds["learning"] == pytest.approx(shared + optimizer)
    with pytest.raises(ModelError, match="cannot be divided among 3 processes"):
        plan(eight_billion, config, Workload(PROMPT, 256, processes=3))


def test_a_colocated_vllm_takes_its_share(eight_billion: Shape) -> None:
    load = Workload(PROMPT, 256, memory=80e9)
    peaks = [
        plan(eight_billion, GrpoConfig(lora=LoraSpec(), gradient_checkpointing=True, vllm=vllm), load)
        for vllm in (SamplingVllm(), SamplingVllm(sleep=True), SamplingVllm(mode="server"))
    ]
    assert [one.memory["vllm"] for one in peaks] == [24_000_000_000, 0, 0]
    assert [one.memory["sampling"] for one in peaks] == [0, 24_000_000_000, 0]
    assert peaks[0].peak > peaks[1].peak > peaks[2].peak


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (SftConfig(), r"set train\.lora\.r=16 to train adapters"),
        (SftConfig(lora=LoraSpec(r=256)), r"set train\.lora\.four_bit=true, lower train\.lora\.r"),
        (GrpoConfig(lora=LoraSpec(r=256, four_bit=True)), r"lower train\.lora\.r, or take a smaller"),
        (GrpoConfig(lora=LoraSpec(four_bit=True)), r"gradient_checkpointing=true, or lower train\.micro_gr"),
        (
            GrpoConfig(lora=LoraSpec(four_bit=True), gradient_checkpointing=True, prompts_per_step=256),
            r"lower train\.prompts_per_step",
        ),
        (
            GrpoConfig(
                lora=LoraSpec(four_bit=True), gradient_checkpointing=True, prompts_per_step=1, micro_groups=1
            ),
            r"show less of the schema",
        ),
        (GrpoConfig(lora=LoraSpec(four_bit=True), vllm=SamplingVllm()), r"lower train\.vllm\.gpu_memory"),
    ],
)
def test_what_does_not_fit_names_what_to_set(
    eight_billion: Shape, config: SftConfig | GrpoConfig, says: str
) -> None:
    found = plan(eight_billion, config, Workload(PROMPT, 256, memory=16e9))
    weights_alone = "smaller" in says or "train\\.lora\\.r" in says
    memory = (found.static if weights_alone else found.peak) - 1
    with pytest.raises(ModelError, match=says):
        Plans({"it": StagePlan(config, PROMPT, 256, found)}, Machine(memory, True)).refuse()


TRAIN = ["train", "--task", "pocket", "--method", "sft+grpo", "--limit", "20", "--plan"]


def test_plan_needs_no_weights_and_knows_the_processes(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(tiny_models.save(tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    command = [*TRAIN, "--model", str(folder), "--out", str(tmp_path / "o"), "--json"]
    assert main([*command, "--processes", "2"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["processes"], printed["machine"]["memory"]) == (2, loading.memory() / 2)
    assert printed["predicted"]["grpo"]["a_step"] == {"all": 32, "each": 16, "passes": 8}
    assert printed["predicted"]["grpo"]["seconds_a_step"].keys() == {"learning", "sampling"}
    assert main([*command, "--recipe", "8x80gb"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["processes"], printed["machine"]["memory"]) == (8, 80e9)
    assert printed["predicted"]["sft"]["a_step"] == {"all": 512, "each": 64, "passes": 4}
    assert main([*command, "--processes", "3"]) == 2
    assert "batch_size 32 cannot be divided among 3 processes" in capsys.readouterr().err


def test_plan_prints_and_refuses_by_the_command_line(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*TRAIN, "--model", "nano", "--out", str(tmp_path / "o")]
    assert main([*command, "--recipe", "24gb", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed["predicted"]) == {"sft", "grpo"} and printed["machine"]["memory"] == 24e9
    assert printed["predicted"]["grpo"]["seconds_a_step"]["sampling"] > 0
    huge = Path(tiny_models.save(tmp_path / "huge"))
    Qwen3Config(hidden_size=16384, intermediate_size=65536, num_hidden_layers=40).save_pretrained(huge)
    assert main([*TRAIN, "--model", str(huge), "--out", str(tmp_path / "o")]) == 2
    shown = capsys.readouterr()
    assert (
        "peak of a process" in shown.out
        and "[b]" not in shown.out
        and "32 questions x 8 answers" in shown.out
        and "needs about" in shown.err
        and "train." in shown.err
    )
    assert main([*command, "--recipe", "24g"]) == 2
    assert "did you mean '24gb'?" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
