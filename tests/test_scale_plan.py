"""The plan for several nodes: its arithmetic, its figures and where they come from, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from harness.cli import main
from harness.training.nodes.figures import Cluster, cluster, figures
from harness.training.nodes.scaling import scaled
from harness.training.nodes.scoring_speed import answers_per_core
from harness.training.nodes.step import Training, learning_plan, step
from harness.training.plan import DescribedMachine, described_machine
from runners.training.config import AsyncSpec, GrpoConfig, LoraSpec, SamplingVllm, SftConfig
from runners.training.plan import Shape, model_shape
from tasks.common.errors import ModelError, SpecError
from tasks.task import Task

LIMIT, ANSWERS = 5.0, 256
"""Seconds of a query; answers of a step of ``GRPO``."""
GRPO = GrpoConfig(prompts_per_step=32, micro_groups=1)
SERVER = SamplingVllm(mode="server", correction="token_truncate")
NODE = Cluster(
    gpus=4,
    gpu_memory=80e9,
    gpu_flops=1e12,
    gpu_bandwidth=1e11,
    interconnect=1e10,
    network=1e9,
    link_share=0.5,
    cores=10,
    timeouts=0.0,
    answer_bytes=10,
    queries=100,
)


@pytest.fixture(scope="module")
def shape() -> Shape:
    return model_shape(tiny_models.model().config)


def training(shape: Shape, config: SftConfig | GrpoConfig = GRPO, **node: float) -> Training:
    return Training(shape, config, 100, 20, LIMIT, replace(NODE, **node))


def test_without_vllm_the_longer_of_sampling_and_scoring_counts(shape: Shape) -> None:
    slow, fast = (step(training(shape, queries=queries), 2) for queries in (1e-1, 1e9))
    assert slow.phases["scoring"] == pytest.approx(ANSWERS / 0.1 / 20)  # 20 cores
    assert slow.critical == ("scoring", "learning", "network") and slow.binds == "scoring"
    assert fast.critical == ("sampling", "learning", "network") and "scoring" not in fast.one_by_one
    assert fast.seconds == pytest.approx(sum(fast.phases[name] for name in fast.critical))
    assert fast.rate == pytest.approx(ANSWERS / fast.seconds)


def test_a_query_that_runs_until_its_limit_delays_steps_and_takes_a_core(shape: Shape) -> None:
    found = step(training(shape, timeouts=0.01), 1)
    assert found.delayed == pytest.approx(1 - 0.99**ANSWERS)
    work = ANSWERS * (1 / 100 + 0.01 * LIMIT) / 10
    assert found.phases["scoring"] == pytest.approx(work + found.delayed * LIMIT)
    assert step(training(shape, timeouts=0), 1).delayed == 0


def test_a_server_is_scored_after_it_has_drawn_and_async_overlaps(shape: Shape) -> None:
    served = GRPO.model_copy(update={"vllm": SERVER})
    in_turn = step(training(shape, served), 1)
    assert in_turn.critical == ("sampling", "scoring", "learning", "network")
    assert in_turn.learners + in_turn.samplers == 4 and in_turn.samplers > 0
    config = served.model_copy(update={"asynchronous": AsyncSpec()})
    for queries, critical in ((1e9, ("learning", "network")), (1e-3, ("sampling", "scoring", "network"))):
        found = step(training(shape, config, queries=queries), 1)
        assert (found.learners, found.samplers, found.critical) == (1, 3, critical)
    with pytest.raises(ModelError, match="needs a GPU beside those that learn: set --gpus-per-node 2"):
        step(training(shape, served, gpus=1), 1)


def test_a_server_gets_the_gpus_that_make_a_step_shortest(shape: Shape) -> None:
    config = GRPO.model_copy(update={"vllm": SERVER})
    learners = [step(training(shape, config, gpu_flops=flops), 4).learners for flops in (1e9, 1e16)]
    assert learners[0] > learners[1]


def test_the_network_carries_gradients_weights_and_answers(shape: Shape) -> None:
    alone = step(training(shape, gpus=1), 1)
    assert alone.sent == {"gradients": 0} and alone.phases["network"] == 0
    ddp = step(training(shape), 2)
    assert ddp.sent == {"gradients": pytest.approx(2 * 7 / 8 * 4 * shape.weights)}
    assert ddp.phases["network"] == pytest.approx(ddp.sent["gradients"] / 0.5e9)
    assert step(training(shape), 1).phases["network"] == pytest.approx(1.5 * 4 * shape.weights / 5e9)
    adapters = 4 * shape.adapter_width
    lora = GRPO.model_copy(update={"lora": LoraSpec(r=4)})
    assert step(training(shape, lora), 2).sent["gradients"] == pytest.approx(2 * 7 / 8 * 4 * adapters)
    sharded = GRPO.model_copy(update={"sharding": "fsdp2"})
    assert step(training(shape, sharded), 2).sent["gradients"] == pytest.approx(7 / 8 * 6 * shape.weights)
    served = step(training(shape, lora.model_copy(update={"vllm": SERVER})), 2)
    assert served.sent["weights"] == 2 * shape.weights
    assert served.sent["answers"] == ANSWERS * (100 + 20) * 10


def test_gpus_share_a_step_and_one_that_cannot_be_divided_is_refused(shape: Shape) -> None:
    one, two = (step(training(shape), nodes) for nodes in (1, 2))
    assert learning_plan(training(shape), two.learners).own == 4
    assert 0.4 < two.phases["learning"] / one.phases["learning"] < 0.7
    with pytest.raises(ModelError, match="prompts_per_step 32 cannot be divided among 12 processes"):
        scaled(training(shape), 3, 10)


def test_the_table_shows_where_more_nodes_stop_to_help(shape: Shape) -> None:
    fast = scaled(training(shape, queries=1e9, network=1e15, interconnect=1e15, gpu_bandwidth=1e15), 2, 10)
    assert [one.nodes for one in fast.steps] == [1, 2, 4, 8] and fast.scales_to == 8  # 32 prompts, 4 GPUs
    slow_network = scaled(training(shape, queries=1e9, network=1e5), 2, 10)
    assert slow_network.scales_to == 1 and slow_network.step.binds == "network"
    at_limit, as_golds = fast.cores
    assert as_golds > at_limit > 0
    sft = scaled(training(shape, SftConfig(batch_size=32)), 2, 0)
    assert sft.cores == () and set(sft.step.phases) == {"learning", "network"}


@pytest.mark.parametrize(
    ("assumption", "says"),
    [
        ("network", "write KEY=VALUE, with KEY one of queries, gpu_memory"),
        ("netwrok=1", "no figure 'netwrok': did you mean 'network'"),
        ("network=fast", "--assume network: 'fast' is not a number above 0"),
        ("network=0", "is not a number above 0"),
        ("queries=-3", "is not a number above 0"),
        ("cores=inf", "is not a number above 0"),
        ("cores=nan", "is not a number above 0"),
        ("timeouts=1.5", "is not a share from 0 to 1"),
        ("link_share=0", "is not a share above 0 and at most 1"),
    ],
)
def test_wrong_figures_are_refused(assumption: str, says: str) -> None:
    with pytest.raises(SpecError, match=says) as error:
        figures([assumption], None)
    assert "\n" not in str(error.value)


def test_figures_know_where_they_come_from() -> None:
    gpu = DescribedMachine(memory=24, flops=1e14, bandwidth=1e12)
    found = figures(["network=1e9", "timeouts=0"], gpu)
    assert {name: found[name].origin for name in ("network", "gpu_memory", "cores")} == {
        "network": "given",
        "gpu_memory": "recipe",
        "cores": "assumed",
    }
    assert all(figure.source and figure.unit for figure in found.values())
    node = cluster(found, 2)
    assert (node.gpu_memory, node.network, node.timeouts) == (24e9, 1e9, 0)


COMMAND = ["train", "--task", "pocket", "--method", "sft+grpo", "--model", "nano", "--out", "x"]


def test_the_command_measures_scoring_and_says_so(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [*COMMAND, "--limit", "20", "--plan", "--nodes", "2", "--gpus-per-node", "2"]
    assert main([*command, "--json"]) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    scale = printed["scale"]
    assert (printed["processes"], scale["nodes"], scale["gpus_per_node"]) == (4, 2, 2)
    assert scale["figures"]["queries"]["origin"] == "measured" and scale["figures"]["queries"]["value"] > 1
    assert scale["databases"]["files"] > 0 and scale["databases"]["bytes"] > 10_000
    assert scale["stages"].keys() == {"sft", "grpo"}
    found = scale["stages"]["grpo"]["step"]
    assert found["seconds"] == pytest.approx(sum(printed["predicted"]["grpo"]["seconds_a_step"].values()))
    assert main([*command, "--recipe", "24gb", "--assume", "queries=900"]) == 0
    shown = capsys.readouterr().out
    assert "900" in shown and "given" in shown and "assumed" in shown and "binds" in shown
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--nodes 2", "add --plan"),
        ("--plan --nodes 0", "'0' is not a positive number"),
        ("--plan --nodes two", "'two' is not a positive number"),
        ("--plan --nodes 2 --processes 4", "leave out --processes"),
        ("--plan --gpus-per-node 4", "--gpus-per-node describes the nodes of a plan: add --plan --nodes N"),
        ("--plan --assume network=1", "--assume describes the nodes of a plan"),
        ("--plan --nodes 2 --assume cors=1", "did you mean 'cores'"),
        ("--plan --nodes 3 --assume queries=9", "cannot be divided among 24 processes"),
    ],
)
def test_wrong_flags_are_one_line(
    words: str, says: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: Any = main([*COMMAND, *words.split()])
    except SystemExit as end:
        code = end.code
    error = capsys.readouterr().err.splitlines()
    assert code == 2 and says in error[-1]


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        ("{memory: 24, flops: 1e14}", "--recipe machine: bandwidth: Field required"),
        ("{memory: 24, flops: 1e14, bandwidth: 1e12, gpus: 3}", "gpus"),
        ("{memory: 24, flops: fast, bandwidth: 1e12}", "flops: Input should be a valid number"),
        ("7", "--recipe machine: "),
    ],
)
def test_a_machine_of_a_recipe_is_checked(machine: str, says: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"machine: {machine}\n")
    with pytest.raises(SpecError, match=says) as error:
        described_machine(str(recipe))
    assert "\n" not in str(error.value)


def test_a_recipe_need_not_describe_a_machine(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("train: {learning_rate: 1.0e-5}\n")
    assert described_machine(str(tmp_path / "recipe.yaml")) is None and described_machine("") is None


def test_slower_queries_are_measured_as_slower(home: Path) -> None:
    task = Task.named("pocket")
    samples = task.samples("dev", 8)
    slow = "SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)"
    costly = [replace(sample, gold=(f"{slow} SELECT i FROM n)",)) for sample in samples]
    assert answers_per_core(task, costly) < 0.7 * answers_per_core(task, samples)
