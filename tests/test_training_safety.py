"""A run that cannot learn stops and says why; a full disk costs nothing; bad input costs no minute."""

import json
import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from test_training import GRPO, SFT, curve, examples, letters, requests

from runners.training.callbacks import Hooks
from runners.training.config import GrpoConfig, LoraSpec, SftConfig, TrainingConfig
from runners.training.folder import CurveRow
from runners.training.grpo import check_rewards, train_grpo
from runners.training.policy import attention
from runners.training.sft import train_sft
from runners.training.stopping import Condition, StoppingConditions, memory_advice
from runners.types import Reward, TrainingExample
from runners.weights import loading
from runners.weights.source import resolve
from tasks.common.errors import ModelError
from tasks.types import Sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.save(tmp_path_factory.mktemp("models") / "tiny")


def rows(rewards: Sequence[float], **others: float) -> list[CurveRow]:
    return [
        {"step": i, "loss": 0.1, "reward": value, "reward_std": 0.3, **others}
        for i, value in enumerate(rewards, 1)
    ]


@pytest.mark.parametrize(
    ("text", "rewards", "holds"),
    [
        ("reward < 0.1", [0.05], True),
        ("reward<0.1", [0.1], False),
        ("reward <= 1e-1", [0.1], True),
        ("reward < 0.1 for 3", [0, 0], False),
        ("reward < 0.1 for 3", [0.5, 0, 0, 0], True),
        ("reward < 0.1 for 3", [0, 0.2, 0, 0], False),
        ("loss > 0", [0.3], True),
        ("dev < 0.2 for 2", [0, 0], False),
    ],
)
def test_a_condition_holds_where_its_last_rows_do(text: str, rewards: list[float], holds: bool) -> None:
    assert Condition.read(text).holds(rows(rewards)) is holds
    assert bool(StoppingConditions(TrainingConfig(stop_if=(text,))).reason(rows(rewards))) is holds


@pytest.mark.parametrize("text", ["reward", "reward < x", "reward = 3", "< 3", "reward < 3 for ever"])
def test_a_condition_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"write it like 'reward < 0\.1 for 20'"):
        Condition.read(text)


def test_a_condition_on_no_figure_of_the_curve_is_refused_at_the_first_row() -> None:
    conditions = StoppingConditions(TrainingConfig(stop_if=("rewrd < 0.1 for 20",)))
    with pytest.raises(ModelError, match="did you mean 'reward'"):
        conditions.reason(rows([1.0]))
    assert (
        StoppingConditions(TrainingConfig(stop_if=("alarms/single_cells > 0.9",))).reason(rows([1.0])) == ""
    )


@pytest.mark.parametrize(
    ("rewards", "stops"),
    [
        ([0.5] * 10 + [0.1] * 10, True),
        ([0.5] * 10 + [0.1] * 9, False),
        ([0.5] * 10 + [0.3] * 10, False),
        ([-0.2] * 10 + [-0.6] * 10, True),
        ([0.1] * 10 + [0.9] * 50, False),
    ],
)
def test_a_reward_that_collapses_stops_the_run(rewards: list[float], stops: bool) -> None:
    assert ("collapsed" in StoppingConditions(GrpoConfig()).reason(rows(rewards))) is stops
    assert StoppingConditions(GrpoConfig(collapse=0)).reason(rows(rewards)) == ""


@pytest.mark.parametrize(
    ("share", "limit", "stops"), [(0.06, 0.05, True), (0.04, 0.05, False), (0.9, 1.0, False)]
)
def test_unscored_answers_end_the_run(share: float, limit: float, stops: bool) -> None:
    row = {**rows([0.5])[0], "alarms/unscored": share}
    complaint = StoppingConditions(GrpoConfig(unscored=limit)).reason([row])
    assert ("unscored" in complaint) is stops
    assert GrpoConfig().unscored == 0.05


def test_a_stopped_run_leaves_a_report_and_its_curve(tmp_path: Path, folder: str) -> None:
    config = GRPO.model_copy(update={"max_steps": 9, "stop_if": ("reward >= 0 for 2",), "save_every": 1})
    with pytest.raises(ModelError, match=r"stop_if: reward >= 0 for 2: reward is .*stopped\.json"):
        train_grpo(folder, requests(), letters, config, tmp_path, Hooks(evaluate=lambda model: 0.25))
    report = json.loads((tmp_path / "stopped.json").read_text())
    assert report["best"] == {"step": 0, "value": 0.25} and [row["step"] for row in report["rows"]] == [1, 2]
    assert len(curve(tmp_path)) == 2


def test_what_the_caller_measures_can_stop_a_run(tmp_path: Path, folder: str) -> None:
    """As the alarms of ``harness train`` do."""
    config = GRPO.model_copy(update={"max_steps": 9, "stop_if": ("alarms/repeated > 0.5",)})
    hooks = Hooks(on_step=lambda row: {"alarms/repeated": 0.3 * row["step"]})
    with pytest.raises(ModelError, match=r"alarms/repeated is 0\.6"):
        train_grpo(folder, requests(), letters, config, tmp_path, hooks)
    assert [row["alarms/repeated"] for row in curve(tmp_path)] == [0.3, 0.6]


def test_a_full_disk_keeps_the_last_whole_checkpoint(tmp_path: Path, folder: str) -> None:
    """Files may not grow over 64 KiB from step 3 on: the checkpoint of step 4 cannot be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(row: Any) -> None:
        if row["step"] == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))

    config = SFT.model_copy(update={"max_steps": 6, "save_every": 2})
    try:
        with pytest.raises(ModelError, match=r"cannot be written .*; checkpoint-2 is complete: free"):
            train_sft(folder, examples(), config, tmp_path, Hooks(on_step=fill))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    seen: list[float] = []

    def note(row: Any) -> None:
        seen.append(row["step"])

    result = train_sft(folder, examples(), config, tmp_path, Hooks(on_step=note))
    assert seen == [3, 4, 5, 6] and result.steps == 6


def test_a_full_gpu_is_one_line() -> None:
    """Its error as torch words it; no GPU is needed to raise it."""
    message = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.5 GiB"
    with (
        pytest.raises(ModelError, match=r"full \(CUDA out of memory\): lower train\.micro_groups"),
        memory_advice(),
    ):
        raise torch.OutOfMemoryError(message)


def giving(value: float | None) -> Callable[[Sequence[Sample], Sequence[str]], list[Reward]]:
    return lambda samples, texts: [Reward(value) for _ in texts]


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (giving(float("nan")), "the reward of an answer to question 0 is nan: fix scoring.reward"),
        (giving(None), "none of the first 8 gold answers can be scored"),
        (lambda samples, texts: [Reward(1.0)], "gave 1 rewards for 16 answers"),
    ],
)
def test_a_reward_is_tried_before_training(score: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_rewards(requests(), score)


def test_rows_longer_than_the_context_are_refused_or_cut(tmp_path: Path, folder: str) -> None:
    long = [*examples(7), TrainingExample(examples(1)[0].messages, "SELECT " + "x, " * 600)]
    with pytest.raises(ModelError, match=r"'SELECT x, .* more than the model's context of 512: show less"):
        train_sft(folder, long, SFT, tmp_path / "out")
    config = SFT.model_copy(update={"max_length": 256, "max_steps": 1})
    assert train_sft(folder, long, config, tmp_path / "cut").steps == 1


def test_a_tokenizer_without_a_template_or_a_pad_token(tmp_path: Path) -> None:
    bare = tiny_models.tokenizer()
    bare.pad_token = None
    tiny_models.model().save_pretrained(tmp_path / "m")
    bare.save_pretrained(tmp_path / "m")
    tokenizer = loading.load_tokenizer(resolve(str(tmp_path / "m")))
    assert tokenizer.pad_token == tokenizer.eos_token
    bare.chat_template = None
    for file in (tmp_path / "m").glob("chat_template*"):
        file.unlink()
    bare.save_pretrained(tmp_path / "m")
    with pytest.raises(ModelError, match="has no chat template: use the instruct version of the model"):
        train_sft(str(tmp_path / "m"), examples(), SFT, tmp_path / "out")


def test_training_notes_the_base_of_its_adapter(tmp_path: Path, folder: str) -> None:
    """Another base of the same shape is refused, and one of another shape; the right one goes on."""
    config = SFT.model_copy(update={"lora": LoraSpec(r=2), "max_steps": 1})
    train_sft(folder, examples(), config, tmp_path / "one")
    adapter = tmp_path / "one" / "adapter"
    assert json.loads((adapter / "base.json").read_text())["name"] == folder
    for name, sizes in (("alike", {"seed": 1}), ("wider", {"hidden_size": 48})):
        other = tiny_models.save(tmp_path / name, "qwen3", **sizes)
        with pytest.raises(ModelError, match=f"was trained on '{folder}', and {other} has other weights"):
            train_grpo(f"{other}+{adapter}", requests(), letters, GRPO, tmp_path / "two")
    (adapter / "base.json").unlink()
    config_file = adapter / "adapter_config.json"
    config_file.write_text(config_file.read_text().replace(folder, "org/gone"))
    with pytest.raises(ModelError, match=f"does not fit {other}, it was trained on 'org/gone'"):
        train_grpo(f"{other}+{adapter}", requests(), letters, GRPO, tmp_path / "two")


@pytest.mark.parametrize(
    ("config", "device", "flash", "chosen"),
    [
        (GrpoConfig(), "cuda", True, None),
        (GrpoConfig(shared_prefix=False), "cuda", True, "flash_attention_2"),
        (GrpoConfig(shared_prefix=False), "cuda", False, None),
        (GrpoConfig(shared_prefix=False), "cpu", True, None),
        (SftConfig(), "cuda", True, None),
        (SftConfig(packing=True), "cuda", True, "flash_attention_2"),
    ],
)
def test_flash_attention_is_taken_where_prompts_are_not_shared(
    config: SftConfig | GrpoConfig, device: str, flash: bool, chosen: str | None
) -> None:
    assert attention(config, device, flash) == chosen
