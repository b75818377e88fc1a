"""Tasks as verifiers environments: its own commands, an env server, and TRL through the token engine."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tomllib
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verifiers")

import tiny_models
import verifiers.v1 as vf
from servers.hostile import hostile

from harness.adapters.verifiers import SqlTask
from harness.cli import main
from leaderboards import store

ROOT = Path(__file__).parent.parent
ANSWERS = [("SELECT 0", "SELECT 0"), ("SELECT 1", "SELECT 9"), ("SELECT 2", "SELECT 2"), ("SELECT 3", "?")]
"""Gold and answer."""


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task whose questions contain the answers of ``hostile``."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.executescript("CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (1);")
    connection.close()
    write(tmp_path, [(f"plan: ok\nanswer: {answer}", gold) for gold, answer in ANSWERS])
    path = tmp_path / "task.yaml"
    path.write_text(
        f"name: scripted\ndataset: {{path: '{tmp_path}/dev.json', splits: {{dev: dev, train: dev}}}}\n"
        f"databases: {{path: '{tmp_path}/{{database}}.sqlite'}}\n"
        "prompt: {system: You write SQL.}\nscoring: {modes: [strict, bird]}\nanswer: {max_new_tokens: 12}\n"
    )
    return path


def write(folder: Path, rows: list[tuple[str, str]]) -> None:
    made = [{"question": question, "query": gold, "db_id": "d"} for question, gold in rows]
    (folder / "dev.json").write_text(json.dumps(made))


def command(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One of verifiers' programs, which finds ``harness_sql`` as an installed module."""
    path = Path(sys.executable).with_name(program)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(path), "harness_sql", *arguments, "--no-rich"], capture_output=True, text=True, env=env
    )


def chat(url: str) -> vf.ModelContext:
    """A model behind a chat endpoint, asked greedily."""
    client = vf.EvalClientConfig(base_url=url, api_key_var="NO_KEY")
    return vf.ModelContext("m", client, vf.SamplingConfig(temperature=0.0))


def play(config: dict[str, Any], context: vf.ModelContext, limit: int | None = None) -> list[vf.Episode]:
    """The tasks of an environment, all or the first ones, in this process."""
    environment = vf.load_environment(vf.resolve_env_config(config))

    async def run() -> list[vf.Episode]:
        tasks = islice(environment.taskset, limit)
        slots = [slot for one in tasks for slot in environment.slots(one)]
        async with environment.serving():
            return await asyncio.gather(*(environment.run_slot(slot, context) for slot in slots))

    return asyncio.run(run())


def test_the_environment_loads_no_torch() -> None:
    code = "import sys, harness_sql; print({'torch', 'transformers', 'trl'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr


def test_nothing_is_uploaded_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """vf-eval uploads by default, also because of a key in the environment."""
    from verifiers.v1.configs.cli.eval import EvalConfig
    from verifiers.v1.utils.platform import PushState, open_run

    assert os.environ["PRIME_RUNS_MODE"] == "disabled"
    monkeypatch.setenv("PRIME_API_KEY", "no key of anyone")
    config = EvalConfig(env=vf.resolve_env_config({"taskset": {"id": "harness_sql"}}), model="m")
    state = PushState()
    run = open_run(config, state, num_examples=1)
    run.finish()
    assert config.push and not state.started and state.error is None and run.mode == "disabled"


def test_what_it_rewards_and_measures_is_what_we_do(task: Path) -> None:
    """Our runner and verifiers get the same reward and verdicts from the same server."""
    with hostile() as server:
        line = [
            "eval",
            "--model",
            "openai:m",
            "--base-url",
            server.url,
            "--task",
            str(task),
            "--workers",
            "1",
        ]
        assert main(line) == 0
        asked = [json.dumps(body["messages"]) for body in server.bodies]
        episodes = play({"taskset": {"id": "harness_sql", "spec": str(task)}}, chat(server.url))
        again = [json.dumps(body["messages"]) for body in server.bodies[len(asked) :]]
    assert sorted(again) == sorted(asked)
    ours = store.records(store.runs()[-1].id)
    for record, episode in zip(ours, episodes, strict=True):
        (trace,) = episode.traces
        assert trace.ok and trace.task.data.id == record.sample_id
        assert trace.reward == record.reward
        assert trace.metrics["execution_accuracy"] == trace.metrics["strict"] == record.strict
        assert trace.metrics["bird"] == record.bird
        assert trace.last_reply == record.completion.strip()
    assert [record.metric for record in ours] == [1.0, 0.0, 1.0, 0.0]


def test_an_unscored_answer_is_an_error_and_never_a_reward(task: Path) -> None:
    write(task.parent, [("plan: ok\nanswer: SELECT 1", "SELECT gone FROM t"), ("plan: 400", "SELECT 1")])
    with hostile() as server:
        episodes = play({"taskset": {"id": "harness_sql", "spec": str(task)}}, chat(server.url))
    assert [episode.ok for episode in episodes] == [False, False]
    broken, refused = (episode.traces[0] for episode in episodes)
    assert "not scored: gold_failed: no such column: gone" in broken.errors[0].message
    assert broken.rewards == {"reward": None} and not any(refused.rewards.values())


@pytest.mark.parametrize(("split", "reward"), [("dev", 1.0), ("train", None)])
def test_a_gold_without_rows_is_evaluated_and_not_trained_on(
    task: Path, split: str, reward: float | None
) -> None:
    empty = "SELECT x FROM t WHERE x = 7"
    write(task.parent, [(f"plan: ok\nanswer: {empty}", empty)])
    with hostile() as server:
        taskset = {"id": "harness_sql", "spec": str(task), "split": split}
        (episode,) = play({"taskset": taskset}, chat(server.url))
    (trace,) = episode.traces
    assert episode.ok is (reward is not None) and (not episode.ok or trace.reward == reward)


def test_a_failed_query_is_corrected_and_a_running_one_is_not(task: Path) -> None:
    """A message without an ``answer:`` line, such as feedback, is answered ``SELECT 1``."""
    asked = ["SELECT gone", "SELECT x FROM t WHERE x = 7", "SELECT 2"]
    write(task.parent, [(f"plan: ok\nanswer: {answer}", "SELECT 1") for answer in asked])
    with hostile() as server:
        episodes = play({"taskset": {"id": "harness_sql", "spec": str(task)}, "turns": 3}, chat(server.url))
        feedback = [body["messages"][-1]["content"] for body in server.bodies if len(body["messages"]) > 2]
    assert sorted(feedback) == [
        "Your query failed: no such column: gone. Answer again with one corrected query.",
        "Your query returns no rows. Answer again with one corrected query.",
    ]
    assert [(e.traces[0].num_turns, e.traces[0].reward == 1) for e in episodes] == [
        (2, True),
        (2, True),
        (1, False),
    ]


def test_a_gold_that_fails_does_not_validate(task: Path) -> None:
    write(task.parent, [("a", "SELECT 1"), ("b", "SELECT gone FROM t")])
    taskset = vf.load_taskset(
        vf.resolve_env_config({"taskset": {"id": "harness_sql", "spec": str(task)}}).taskset
    )

    async def valid() -> list[bool]:
        return [await one.validate(None) for one in taskset]

    assert asyncio.run(valid()) == [True, False]


def test_tasks_survive_the_wire_and_are_distinct(task: Path) -> None:
    taskset = vf.load_taskset(
        vf.resolve_env_config({"taskset": {"id": "harness_sql", "spec": str(task)}}).taskset
    )
    tasks = list(taskset)
    assert len({one.key for one in tasks}) == len(ANSWERS)
    data = type(tasks[0].data).model_validate(json.loads(tasks[0].data.model_dump_json()))
    assert data == tasks[0].data
    assert asyncio.run(SqlTask(data).grade("SELECT 0")).attempt.verdicts == {"strict": 1.0, "bird": 1.0}


BROKEN = """
from rewards.types import Attempt, Score

class Raises:
    def __call__(self, attempt: Attempt) -> Score:
        raise ValueError("no reward today")
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("reward", ["gated", "broken_reward:Raises"])
def test_a_cancelled_rollout_does_not_affect_the_others(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reward: str
) -> None:
    """Cancelled while waiting, during grading and after it; also where grading raises."""
    (tmp_path / "broken_reward.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    overrides = [f"scoring.reward={reward}"]
    config = vf.resolve_env_config(
        {"taskset": {"id": "harness_sql", "spec": str(task), "overrides": overrides, "trust": True}}
    )
    question = next(iter(vf.load_taskset(config.taskset)))

    async def graded(delay: float) -> list[Any]:
        asked = [asyncio.create_task(question.grade(f"SELECT {number}")) for number in range(6)]
        await asyncio.sleep(delay)
        asked[2].cancel()
        asked += [asyncio.create_task(question.grade("SELECT 0"))]  # the next batch is graded too
        return await asyncio.gather(*asked, return_exceptions=True)

    for delay in (0.0, 0.001, 0.01, 0.05):  # each asyncio.run is an event loop of its own
        found = asyncio.run(graded(delay))
        others = [one for number, one in enumerate(found) if number != 2]
        if reward == "gated":
            right = [grade.attempt.verdicts["strict"] for grade in others]
            assert right == [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
        else:
            says = "scoring.reward: broken_reward:Raises raised ValueError: no reward today"
            assert [str(error) for error in others] == [says] * 6


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_vf_eval_and_vf_validate(task: Path, tmp_path: Path) -> None:
    with hostile() as server:
        done = command(
            "vf-eval",
            *("--env.taskset.spec", str(task), "-m", "m", "-o", str(tmp_path / "out")),
            *(
                "--client.base-url",
                server.url,
                "--client.api-key-var",
                "NO_KEY",
                "--sampling.temperature",
                "0",
            ),
        )
    assert done.returncode == 0, done.stderr[-2000:]
    (file,) = (tmp_path / "out").rglob("traces.jsonl")
    traces = [json.loads(line)["traces"][0] for line in file.read_text().splitlines()]
    verdicts = {trace["task"]["data"]["id"]: trace["metrics"]["execution_accuracy"] for trace in traces}
    assert verdicts == {"0": 1.0, "1": 0.0, "2": 1.0, "3": 0.0}
    assert validated(tmp_path, str(task)) == (len(ANSWERS), len(ANSWERS))


def validated(out: Path, spec: str, *more: str) -> tuple[int, int]:
    """How many tasks ``vf-validate`` found valid, gold and noop both, of how many."""
    place = out / "validated"
    done = command(
        "vf-validate", "--taskset.spec", spec, "--runtime.type", "subprocess", "-o", str(place), *more
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (summary,) = (json.loads(path.read_text()) for path in place.rglob("summary.json"))
    return summary["outcomes"]["valid"], summary["total"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_pocket_validates(home: Path, tmp_path: Path) -> None:
    valid, total = validated(tmp_path, "pocket", "--taskset.split", "dev")
    assert valid == total == 500


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_spiders_dev_validates(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    valid, total = validated(tmp_path, "spider", "-c", "16")
    assert valid == total == 972


# prime-rl


def test_the_exported_config_names_the_environment(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = [
        "export",
        "prime-rl",
        "--task",
        str(task),
        "--turns",
        "2",
        "--set",
        "prompt.system=\"Say 'SQL'.\"",
    ]
    assert main(line) == 0
    config = tomllib.loads(capsys.readouterr().out)
    (source,) = config["orchestrator"]["train"]["source"]
    resolved = vf.resolve_env_config(source["env"])
    assert (type(resolved).__name__, resolved.turns, resolved.agent.runtime.type) == (
        "SqlEnvConfig",
        2,
        "subprocess",
    )
    assert next(iter(vf.load_taskset(resolved.taskset))).data.system_prompt == "Say 'SQL'."
    assert config["orchestrator"]["train"]["sampling"]["max_completion_tokens"] == 12


# training


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random model with weights large enough to give different answers."""
    return tiny_models.save(tmp_path_factory.mktemp("models") / "tiny", initializer_range=0.3)


def test_the_engine_generates_what_the_model_would(folder: str) -> None:
    import httpx
    import torch
    from transformers import AutoModelForCausalLM

    from runners.training.engine import TokenEngine

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    prompts = [list(range(5, 5 + n)) for n in (3, 9, 6)]
    with TokenEngine(model, pad_token=0) as engine:
        url = engine.url.removesuffix("/v1") + "/inference/v1/generate"
        for prompt in prompts:
            asked = {"temperature": 0.0, "max_tokens": 8, "stop_token_ids": [1]}
            choice = httpx.post(url, json={"token_ids": prompt, "sampling_params": asked}).json()["choices"][
                0
            ]
            tokens = choice["token_ids"]
            ids = torch.tensor([prompt + tokens])
            logits = model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
            assert tokens == logits.argmax(-1).tolist()
            logprobs = [entry["logprob"] for entry in choice["logprobs"]["content"]]
            assert logprobs == pytest.approx(logits.max(-1).values.tolist(), abs=1e-4)
            assert choice["finish_reason"] == ("stop" if tokens[-1] == 1 else "length")
        bad = httpx.post(url, json={"token_ids": [10**6], "sampling_params": {}})
        assert bad.status_code == 400 and "IndexError" in bad.text
    assert model.training


def test_the_next_turn_extends_the_tokens_of_the_last() -> None:
    from runners.training.renderer import TemplateRenderer

    tokenizer = tiny_models.tokenizer()
    renderer = TemplateRenderer(tokenizer)
    first = renderer.render([{"role": "user", "content": "How many?"}], add_generation_prompt=True).token_ids
    odd = [ord("S") % 200 + 20, 30, 31]
    more = [{"role": "user", "content": "Again."}]
    for completion in ([*odd, tokenizer.eos_token_id], odd):
        bridged = renderer.bridge_to_next_turn(first, completion, more)
        assert bridged is not None
        assert bridged.token_ids[: len(first) + len(odd)] == first + odd
        rest = tokenizer.decode(bridged.token_ids[len(first) + len(odd) :])
        assert rest == "<|end|><|user|>Again.<|end|><|assistant|>"
    assert renderer.bridge_to_next_turn(first, odd, [{"role": "tool", "content": "x"}]) is None


async def locked_by_another_loop() -> None:
    """Wait for a lock of the library, as another program's episodes do in an event loop of their own."""
    from renderers import client

    from runners.compat.renderers import renew_lock

    renew_lock()

    async def wait() -> None:
        async with client._max_prompt_len_lock:
            await asyncio.sleep(0)

    await asyncio.gather(wait(), wait())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("turns", [1, 2])
def test_trl_trains_three_steps_through_the_bridge(
    task: Path, tmp_path: Path, folder: str, turns: int
) -> None:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    from runners.training.verifiers import Rollouts, environment_rewards

    asyncio.run(locked_by_another_loop())
    config = {"taskset": {"id": "harness_sql", "spec": str(task)}, "turns": turns}
    rollouts = Rollouts(config, {"max_tokens": 8, "temperature": 1.0})
    played: list[dict[str, Any]] = []

    def recorded(prompts: Any, trainer: Any) -> dict[str, Any]:
        played.append(rollouts(prompts, trainer))
        if len(played) == 2:  # random models earn nothing: give the loss something to pull at
            played[-1]["environment_reward"] = [float(i % 2) for i in range(len(prompts))]
        return played[-1]

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    before = model.model.embed_tokens.weight.detach().clone()
    settings = GRPOConfig(
        output_dir=str(tmp_path / "out"),
        max_steps=3,
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=64,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        disable_tqdm=True,
    )
    trainer = GRPOTrainer(
        model=model,
        args=settings,
        reward_funcs=environment_rewards,
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in rollouts.prompts()]),
        processing_class=AutoTokenizer.from_pretrained(folder),
        rollout_func=recorded,
    )
    trainer.train()
    assert trainer.state.global_step == 3 and len(played) == 3
    assert not torch.equal(before, model.model.embed_tokens.weight)
    for step in played:
        assert step["turns"] == [turns] * 8
        for ids, logprobs, mask in zip(
            step["completion_ids"], step["logprobs"], step["env_mask"], strict=True
        ):
            assert len(ids) == len(logprobs) == len(mask) and mask[0] == mask[-1] == 1
            assert all(lp < 0 for lp, one in zip(logprobs, mask, strict=True) if one)
            assert (0 in mask) is (turns == 2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_env_server_in_another_process_returns_tokens_and_log_probabilities(
    task: Path, folder: str, tmp_path: Path
) -> None:
    """As in prime-rl's orchestrator: tasks are loaded here, sent, and rebuilt there from their data."""
    import torch
    from renderers import CustomRendererConfig
    from transformers import AutoModelForCausalLM
    from verifiers.v1.serve.client import EnvClient

    from runners.training.engine import TokenEngine

    config = vf.resolve_env_config({"taskset": {"id": "harness_sql", "spec": str(task)}, "turns": 2})
    address = f"ipc://{tmp_path}/env"
    code = (
        "import verifiers.v1 as vf; from verifiers.v1.serve.server import EnvServer\n"
        f"config = vf.resolve_env_config({config.model_dump(mode='json')!r})\n"
        f"EnvServer.run_server(config=config, address={address!r})"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen([sys.executable, "-c", code], env=env)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tasks = list(vf.load_taskset(config.taskset))
    task.with_name("dev.json").unlink()  # the server does not read the dataset

    async def run(url: str) -> list[Any]:
        client = vf.TrainClientConfig(
            base_url=url,
            api_key_var="NO_KEY",
            renderer=CustomRendererConfig(import_path="runners.training.renderer.TemplateRenderer"),
            renderer_model_name=folder,
        )
        environment = EnvClient(address)
        await environment.wait_for_server_startup(timeout=240)
        sampling = vf.SamplingConfig(max_tokens=8, temperature=1.0)
        return await asyncio.gather(
            *(environment.run(client, "m", sampling, one.data.model_dump(mode="json")) for one in tasks)
        )

    try:
        with TokenEngine(model, pad_token=0) as engine:
            episodes = asyncio.run(run(engine.url))
    finally:
        server.terminate()
        server.wait(timeout=30)
    assert len(episodes) == len(tasks)
    for episode in episodes:
        assert episode.ok, episode.errors
        (branch,) = episode.traces[0].branches
        assert episode.traces[0].num_turns == 2
        assert len(branch.token_ids) == len(branch.logprobs) == len(branch.sampled_mask)
        drawn = [lp for lp, sampled in zip(branch.logprobs, branch.sampled_mask, strict=True) if sampled]
        assert 2 <= len(drawn) <= 16 and all(lp < 0 for lp in drawn)
        assert 0 <= episode.traces[0].reward < 1
