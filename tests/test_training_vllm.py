"""GRPO whose answers vLLM draws: its settings, and what TRL does with what it returns, without vLLM."""

import json
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import pytest
import tiny_models
import torch
from test_training import GRPO, curve, letters, requests, weights
from trl.trainer.grpo_config import GRPOConfig

from harness.cli import main
from harness.spec import TrainSpec
from runners.compat import trl
from runners.training import grpo, vllm_requirements
from runners.training import policy as policies
from runners.training.callbacks import Hooks, TrainingCallback
from runners.training.config import GrpoConfig, LoraSpec, SamplingVllm
from runners.training.folder import RunFolder
from runners.training.grpo import train_grpo
from runners.training.grpo_step import GrpoTrainer
from runners.training.run import run_training
from runners.weights import loading
from tasks.common.errors import MissingExtra, ModelError, SpecError
from tasks.common.parse import parse
from tasks.types import Sample

Answers = list[list[int]]
RUN: Mapping[str, Any] = {"max_steps": 2, "scheduler": "constant"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.save(tmp_path_factory.mktemp("models") / "tiny")


def test_settings_reach_trl_by_its_names(tmp_path: Path) -> None:
    server = SamplingVllm(
        mode="server",
        base_url="http://h:1",
        timeout=9,
        correction="token_truncate",
        clip_max=2,
        regex="SELECT.*",
    )
    found = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **server.arguments())
    assert (found.use_vllm, found.vllm_mode, found.vllm_server_base_url) == (True, "server", "http://h:1")
    assert (found.vllm_server_timeout, found.vllm_structured_outputs_regex) == (9, "SELECT.*")
    assert found.vllm_importance_sampling_correction and found.vllm_importance_sampling_clip_max == 2
    assert found.vllm_importance_sampling_mode == "token_truncate"
    colocated = SamplingVllm(
        gpu_memory=0.5,
        tensor_parallel=2,
        max_model_len=900,
        sleep=True,
        correction="none",
        extra={"top_k": 9},
    )
    found = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **colocated.arguments())
    assert (found.vllm_mode, found.vllm_gpu_memory_utilization, found.vllm_tensor_parallel_size) == (
        "colocate", 0.5, 2
    )  # fmt: skip
    assert (found.vllm_max_model_length, found.vllm_enable_sleep_mode) == (900, True)
    assert not found.vllm_importance_sampling_correction and found.generation_kwargs == {"top_k": 9}


def test_defaults_are_trls_and_no_setting_of_it_is_left_out(tmp_path: Path) -> None:
    ours, theirs = SamplingVllm().arguments(), GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    assert {name for name in ours if ours[name] != getattr(theirs, name)} == {"use_vllm"}
    names = {field.name for field in fields(GRPOConfig) if "vllm" in field.name}
    assert names - set(ours) == {
        "vllm_importance_sampling_cap",  # deprecated: clip_max
        "vllm_model_impl",  # "transformers" changes the classes of the trainer's own model
    }


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("{base_url: 'http://x'}", "base_url is of mode server"),
        ("{mode: server, gpu_memory: 0.5}", "gpu_memory is given to vllm serve, not here"),
        ("{clip_min: 4}", "clip_min 4.0 is not below clip_max 3.0"),
        (
            "{correction: token_truncate, clip_max: null}",
            "correction token_truncate needs clip_max or clip_min",
        ),
        ("{memory: 0.5}", "did you mean 'gpu_memory'"),
    ],
)
def test_settings_that_contradict_each_other_are_one_line(settings: str, says: str) -> None:
    spec = {"task": "pocket", "method": "grpo", "model": "nano"}
    with pytest.raises(SpecError) as error:
        parse(TrainSpec, spec, [f"grpo.vllm={settings}"])
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "vllm", "world", "says"),
    [
        ({}, {"tensor_parallel": 3}, 2, "tensor_parallel 3 does not divide 2 processes"),
        ({"max_turns": 2}, {"mode": "server"}, 2, "max_turns is over 1 and several processes ask one vLLM"),
        (
            {"max_turns": 2},
            {"tensor_parallel": 2},
            2,
            "max_turns is over 1 and several processes ask one vLLM",
        ),
        ({"loss_type": "vespo"}, {}, 1, "vespo needs train.vllm.correction token_truncate or token_mask"),
        ({"max_turns": 2}, {"mode": "server"}, 1, ""),
        ({"max_turns": 2}, {}, 2, ""),
        ({"loss_type": "vespo"}, {"correction": "token_mask"}, 1, ""),
    ],
)
def test_settings_that_cannot_work_together_are_refused(
    changes: dict[str, Any], vllm: dict[str, Any], world: int, says: str
) -> None:
    config = GRPO.model_copy(update={**changes, "vllm": SamplingVllm(**vllm)})
    if not says:
        vllm_requirements.check_processes(config, config.vllm or SamplingVllm(), world)
        return
    with pytest.raises(ModelError, match=says):
        vllm_requirements.check_processes(config, config.vllm or SamplingVllm(), world)


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed here")
def test_a_missing_vllm_is_one_line_before_anything_is_loaded(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--task", "pocket", "--method", "grpo", "--model", "nano", "--out", str(home / "x")]
    assert main([*command, "--set", "train.vllm={}"]) == 2
    printed = capsys.readouterr().err
    assert printed.strip() == "harness train: vllm is not installed: pip install -e '.[vllm]' in a clone"
    assert not (home / "x").exists()
    with pytest.raises(MissingExtra):
        train_grpo("nano", requests(), letters, GRPO.model_copy(update={"vllm": SamplingVllm()}), home / "x")


class Server(BaseHTTPRequestHandler):
    """Answers what is asked of a vLLM server first."""

    config: ClassVar[dict[str, Any] | None] = None

    def do_GET(self) -> None:
        known = self.path == "/health" or self.config is not None
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"vllm_config": self.config}).encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    running = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()


def described(
    dtype: str = "float32", logprobs: str = "processed_logprobs", nccl: bool = False
) -> dict[str, Any]:
    model = {"dtype": f"torch.{dtype}", "logprobs_mode": logprobs}
    return {"model_config": model, "weight_transfer_config": {"backend": "nccl"} if nccl else None}


@pytest.mark.parametrize(
    ("config", "cpu", "says"),
    [
        (None, True, "takes no weights: start it with VLLM_SERVER_DEV_MODE=1 vllm serve"),
        (described("bfloat16"), True, "computes in bfloat16 and training on a CPU in float32: start it with"),
        (
            described(logprobs="raw_logprobs"),
            True,
            "returns raw_logprobs, which do not include the temperature",
        ),
        (described(logprobs="raw_logprobs", nccl=True), False, "returns raw_logprobs"),
        (described("bfloat16"), False, "takes no weights from GPUs: start it with .*weight-transfer-config"),
        (described(), True, ""),
        (described("bfloat16", nccl=True), False, ""),
    ],
)
def test_a_server_with_which_training_would_go_wrong_is_refused(
    server: str, config: dict[str, Any] | None, cpu: bool, says: str
) -> None:
    Server.config = config
    vllm = SamplingVllm(mode="server", base_url=server)
    if not says:
        vllm_requirements.wait_for_server(vllm, cpu)
        return
    with pytest.raises(ModelError, match=says):
        vllm_requirements.wait_for_server(vllm, cpu)


def test_a_server_is_waited_for() -> None:
    vllm = SamplingVllm(mode="server", base_url="http://127.0.0.1:9", timeout=0.1)
    with pytest.raises(
        ModelError, match=r"no vLLM server at http://127\.0\.0\.1:9 after 0\.1 s: start it with"
    ):
        vllm_requirements.wait_for_server(vllm, cpu=True)


@pytest.mark.parametrize(
    ("changes", "vllm", "says"),
    [
        ({"top_p": 0.9}, {}, "train.top_p changes the probabilities with which vLLM draws tokens"),
        ({}, {"extra": {"top_k": 5}}, "train.vllm.extra.top_k changes the probabilities"),
        ({}, {"extra": {"repetition_penalty": 1.1}}, "train.vllm.extra.repetition_penalty changes"),
        ({}, {"extra": {"bad_words": ["DROP"]}, "correction": "token_mask"}, "bad_words changes"),
        ({}, {"regex": "SELECT.*"}, "unset train.vllm.regex, or set train.vllm.correction=none"),
        ({}, {"extra": {"temperature": 0.5}}, "contradicts train.temperature: set train.temperature instead"),
        ({}, {"extra": {"seed": 1}, "correction": "none"}, "contradicts train.seed"),
        ({}, {"extra": {"prompt_logprobs": 1}}, "no parameter of sampling that training can pass to vLLM"),
        ({}, {"extra": {"topk": 5}, "correction": "none"}, "did you mean 'top_k'"),
        ({"top_p": 0.9}, {"extra": {"top_k": 5}, "regex": "S.*", "correction": "none"}, ""),
        ({"temperature": 0.7}, {"extra": {"stop": [";"]}}, ""),
    ],
)
def test_what_would_skew_importance_ratios_is_refused(
    changes: dict[str, Any], vllm: dict[str, Any], says: str
) -> None:
    config, engine = GRPO.model_copy(update=changes), SamplingVllm.model_validate(vllm)
    if not says:
        vllm_requirements.check_sampling(config, engine)
        return
    with pytest.raises(ModelError, match=says):
        vllm_requirements.check_sampling(config, engine)


@pytest.mark.parametrize(
    ("changes", "vllm", "says"),
    [
        ({}, {}, "train.vllm needs a GPU: .* train.vllm.cpu=true"),
        ({}, {"cpu": True, "sleep": True}, "train.vllm.sleep frees a GPU's memory"),
        ({}, {"cpu": True, "tensor_parallel": 2}, "tensor_parallel divides a model among GPUs"),
        ({"lora": LoraSpec(four_bit=True)}, {"cpu": True}, "set train.lora.four_bit=false"),
    ],
)
def test_what_vllm_cannot_do_on_a_cpu_is_refused(
    changes: dict[str, Any], vllm: dict[str, Any], says: str
) -> None:
    with pytest.raises(ModelError, match=says):
        vllm_requirements.check_cpu(GRPO.model_copy(update=changes), SamplingVllm.model_validate(vllm))


class Replay:
    """In the place of TRL's ``VLLMGeneration``: answers drawn before, and the model's log-probabilities."""

    answers: ClassVar[list[Answers]] = []
    off: ClassVar[float] = 0.0
    """What is added to each log-probability: an engine that disagrees with the model."""
    synced: ClassVar[int] = 0

    def __init__(self, model: Any, temperature: float, **_: Any) -> None:
        self.model, self.temperature = model, temperature
        Replay.synced = 0
        self.left = iter(Replay.answers)

    def sync_weights(self) -> None:
        Replay.synced += 1

    def generate(self, prompts: Any, images: Any, num_generations: int, profiler: Any) -> Any:
        drawn = next(self.left)
        assert len(prompts) == len(drawn) and images is None
        for first in range(0, len(prompts), num_generations):
            assert all(one == prompts[first] for one in prompts[first : first + num_generations])
        logprobs = [self._logprobs(list(one), list(two)) for one, two in zip(prompts, drawn, strict=True)]
        return prompts, drawn, logprobs, None

    @torch.no_grad()
    def _logprobs(self, prompt: list[int], answer: list[int]) -> list[list[float]]:
        logits = self.model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        found = (logits / self.temperature).log_softmax(-1).gather(-1, torch.tensor(answer)[:, None])
        return [[float(one) + Replay.off] for one in found[:, 0]]


def odd_ones(samples: Sequence[Sample], texts: Sequence[str], before: Sequence[str]) -> list[str]:
    return ["Your query failed." if int(sample.id) % 2 else "" for sample in samples]


def trained(folder: str, config: GrpoConfig, out: Path) -> Any:
    """``train_grpo`` behind its checks, which want a GPU and vLLM; the trainer, when it is done."""
    run = RunFolder(out, {})
    callback = TrainingCallback(
        run, config, Hooks(feedback=odd_ones, trainer=None if config.vllm else Keeping)
    )
    source, policy = policies.load_policy(folder, config, run)
    tokenizer = loading.load_tokenizer(source)
    trainer = grpo.make_trainer(policy, tokenizer, requests(), letters, callback)
    run_training(trainer, source, callback)
    return trainer


class Keeping(GrpoTrainer):
    """Our trainer, whose answers are kept for ``Replay``."""

    def draw_answers(self, *args: Any) -> Any:
        drawn = super().draw_answers(*args)
        Replay.answers.append(drawn[0])
        return drawn


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL gets the answers that ``Keeping`` kept from ``Replay``, in the place of its vLLM."""
    Replay.answers, Replay.synced, Replay.off = [], 0, 0.0
    monkeypatch.setattr(trl, "TrainingEngine", Replay)


@pytest.mark.usefixtures("replayed")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"refill": 4, "vllm": SamplingVllm(correction="token_truncate")},
        {"max_turns": 3, "vllm": SamplingVllm(correction="token_mask")},
        {"num_iterations": 2, "save_every": 4, "beta": 0.1},
        {"shared_prefix": False},
        {"lora": LoraSpec(r=4, alpha=8), "vllm": SamplingVllm(correction="none")},
    ],
    ids=lambda changes: " ".join(changes) or "plain",
)
def test_the_answers_of_an_engine_that_agrees_train_as_our_own_do(
    tmp_path: Path, folder: str, changes: dict[str, Any]
) -> None:
    config = GRPO.model_copy(update={**RUN, "vllm": SamplingVllm(), **changes})
    own = {"vllm": None, "shared_prefix": True, "micro_groups": 4 if not config.shared_prefix else 2}
    if not config.shared_prefix:
        config = config.model_copy(update={"micro_groups": 4})  # TRL shuffles answers between passes
    trained(folder, config.model_copy(update=own), tmp_path / "own")
    trained(folder, config, tmp_path / "vllm")
    before, mine, theirs = weights(folder), *(weights(tmp_path / one / "model") for one in ("own", "vllm"))
    assert max((mine[key] - before[key]).abs().max() for key in mine) > 1e-3
    assert all(torch.allclose(mine[key], theirs[key], atol=2e-5) for key in mine)
    rows = curve(tmp_path / "vllm")
    assert Replay.synced == (1 if config.num_iterations == 2 else 2)
    if config.vllm and config.vllm.correction != "none":
        assert rows[0]["vllm_ratio"] == pytest.approx(1, abs=1e-4) and rows[0]["vllm_gap"] < 1e-5


@pytest.mark.usefixtures("replayed")
def test_an_engine_that_disagrees_is_corrected(tmp_path: Path, folder: str) -> None:
    config = GRPO.model_copy(update={**RUN, "max_steps": 1, "max_turns": 2})
    trained(folder, config, tmp_path / "own")
    Replay.off = 0.1
    found = {}
    for correction in ("none", "token_truncate"):
        vllm = SamplingVllm.model_validate({"correction": correction})
        trained(folder, config.model_copy(update={"vllm": vllm}), tmp_path / correction)
        found[correction] = weights(tmp_path / correction / "model")
    (row,) = curve(tmp_path / "token_truncate")
    assert row["vllm_ratio"] == pytest.approx(math.exp(-0.1), abs=1e-4)
    assert row["vllm_gap"] == pytest.approx(0.1, abs=1e-5)
    mine = weights(tmp_path / "own" / "model")
    assert all(torch.allclose(mine[key], found["none"][key], atol=2e-5) for key in mine)
    assert row["grad_norm"] == pytest.approx(
        curve(tmp_path / "none")[0]["grad_norm"] * math.exp(-0.1), rel=1e-3
    )
