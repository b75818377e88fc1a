"""A vLLM server on a CPU, asked by all that can ask one, and trained with: `make test-vllm`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("verifiers")

from test_training import GRPO, curve, letters, requests
from test_verifiers import command
from test_vllm_answers import GREEDY, answers
from vllm_models import TIE, differences, pocket_requests

from harness.cli import main
from leaderboards import store
from runners.compat.trl_vllm import FolderClient
from runners.endpoints.vllm_server import VllmServer
from runners.open import open_runner
from runners.settings import RunnerConfig
from runners.training.config import SamplingVllm
from runners.training.grpo import train_grpo
from runners.types import Sampling
from tasks.common.errors import ModelError

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
EXTRA = {"enforce_eager": True, "logprobs_mode": "processed_logprobs", "max_logprobs": -1}
SETTINGS = RunnerConfig.model_validate({"vllm": {"server": True, "extra": EXTRA}})


@pytest.fixture(scope="module")
def server() -> Iterator[VllmServer]:
    """A server of nano, which accepts new weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_SERVER_DEV_MODE", "1")
        runner = open_runner("vllm:nano", SETTINGS)
    assert isinstance(runner, VllmServer)
    yield runner
    runner.close()


@pytest.fixture
def url(server: VllmServer) -> str:
    return server.url


def test_greedy_texts_are_those_of_hf(server: VllmServer) -> None:
    asked, hf = pocket_requests(100), open_runner("nano", SETTINGS)
    mine, theirs = (answers(runner, asked, GREEDY) for runner in (hf, server))
    gaps = differences("nano", asked, *([one.text for (one,) in each] for each in (mine, theirs)))
    assert len(gaps) <= 1 and all(gap < TIE for gap in gaps.values())
    for (one,), (other,) in zip(mine, theirs, strict=True):
        assert one.text != other.text or one.logprob == pytest.approx(other.logprob, abs=1e-3)


def test_samples_depend_on_the_seed_alone_and_end_at_stop_strings(server: VllmServer) -> None:
    drawn = Sampling(temperature=1.0, n=4, max_new_tokens=24, seed=7, stop=("FROM",))
    first, again = (
        [[one.text for one in each] for each in answers(server, pocket_requests(8), drawn)] for _ in "12"
    )
    assert first == again and any(len(set(texts)) > 1 for texts in first)
    assert not any("FROM" in text for texts in first for text in texts)


def test_turns_verifiers_and_lm_eval_give_one_number(url: str, home: Path, tmp_path: Path) -> None:
    """`harness eval`, `vf-eval` and lm-eval's own client and command, each of the same 12 questions."""
    few = ["--task", "pocket", "--split", "dev", "--limit", "12", "--workers", "1"]
    model = str(json.loads(fetched(f"{url}/models"))["data"][0]["id"])
    chat = f"model={model},base_url={url}/chat/completions,num_concurrent=4"
    for name in (f"openai:{model}", f"lm-eval:local-chat-completions:{chat}"):
        assert main(["eval", "--model", name, "--base-url", url, *few]) == 0
    ours, theirs = (store.records(run.id) for run in store.runs()[-2:])
    assert [one.completion for one in ours] == [one.completion for one in theirs]
    asked = ["--env.taskset.spec", "pocket", "--env.taskset.split", "dev", "-m", model, "-n", "12"]
    asked += ["--client.base-url", url, "--client.api-key-var", "NO_KEY", "--sampling.temperature", "0"]
    done = command("vf-eval", *asked, "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr[-2000:]
    (file,) = (tmp_path / "out").rglob("traces.jsonl")
    traces = [json.loads(line)["traces"][0] for line in file.read_text().splitlines()]
    verdicts = {one["task"]["data"]["id"]: one["metrics"]["execution_accuracy"] for one in traces}
    assert verdicts == {one.sample_id: one.strict for one in ours}


def test_grpo_sends_its_weights_by_a_folder(server: VllmServer, url: str, tmp_path: Path) -> None:
    vllm = SamplingVllm(mode="server", cpu=True, base_url=url.removesuffix("/v1"))
    update = {"vllm": vllm, "max_steps": 3, "scheduler": "constant", "learning_rate": 1e-3}
    config = GRPO.model_copy(update={**update, "max_new_tokens": 12})
    train_grpo("nano", requests(), letters, config, tmp_path / "sent")
    assert max(row["vllm_gap"] for row in curve(tmp_path / "sent")) < 1e-4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderClient, "update_named_params", lambda *_: None)
        with pytest.raises(ModelError, match="does not have the model's weights"):
            train_grpo("nano", requests(), letters, config, tmp_path / "unsent")


def fetched(url: str) -> str:
    script = f"import httpx; print(httpx.get({url!r}, trust_env=False).text)"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


KILLED = """
import os, signal
from runners.open import open_runner
from runners.settings import RunnerConfig

runner = open_runner("vllm:nano", RunnerConfig.model_validate({"vllm": {"server": True}}))
print(runner._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_server_ends_with_a_killed_process() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True)
    group = int(done.stdout)
    for _ in range(600):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("the server runs for a minute after its parent")
