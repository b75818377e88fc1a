"""One step of a training on several nodes: seconds by phase, which phase binds, and what the network carries.

The phases come from the plan of one process (``runners/training/plan.py``), divided among the GPUs:

    sampling    the prompts of a GPU that draws answers
    scoring     the answers of a step on the cores of all nodes, and the time limit of a query, multiplied by
                the probability that one of the answers runs until then
    learning    the prompts or rows of a GPU that learns
    network     the bytes below, at ``link_share`` of the rate of a node's network; of ``interconnect`` on a
                single node

Without vLLM answers are scored while others are drawn, so the longer of sampling and scoring counts; with it
they are scored after they are drawn. Learning follows; with ``train.async`` it runs at the same time, and the
longer of the two counts. The network comes on top. Bytes of a step, into or out of each node:

    gradients   of p GPUs that learn: 2 (p - 1) / p of the gradients (a ring's all-reduce); with FSDP2
                (p - 1) / p of the weights, which are gathered, and of the gradients, which are reduced
    weights     to a vLLM server: all, in the type in which the trainer holds them
    answers     from a vLLM server
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from harness.training.nodes.figures import Cluster
from runners.training.config import GrpoConfig, SftConfig
from runners.training.plan import Plan, Shape, Workload, plan
from tasks.common.errors import ModelError


@dataclass(frozen=True, slots=True)
class Training:
    """A stage of training: the model, the lengths of texts in tokens, and the nodes."""

    model: Shape
    config: SftConfig | GrpoConfig
    prompt: int
    answer: int
    limit: float
    """Seconds that a query may run."""
    cluster: Cluster

    @property
    def serves(self) -> bool:
        """Whether a vLLM server on GPUs of its own draws the answers."""
        return isinstance(self.config, GrpoConfig) and bool(
            self.config.vllm and self.config.vllm.mode == "server"
        )

    @property
    def overlaps(self) -> bool:
        """Whether answers are drawn while the model learns."""
        return isinstance(self.config, GrpoConfig) and self.config.asynchronous is not None

    @property
    def core_seconds(self) -> float:
        """Seconds of a core for an answer, in the mean."""
        return 1 / self.cluster.queries + self.cluster.timeouts * self.limit


@dataclass(frozen=True, slots=True)
class Step:
    """One step on some nodes."""

    nodes: int
    learners: int
    """GPUs that learn; without a vLLM server they draw the answers, too."""
    samplers: int
    """GPUs of a vLLM server."""
    phases: Mapping[str, float]
    """Seconds of each phase by itself."""
    critical: tuple[str, ...]
    """The phases that follow one another; the others run beside them."""
    sent: Mapping[str, float]
    """Bytes that the network of each node carries, by purpose."""
    items: int
    """Answers of a step; rows in SFT."""
    delayed: float = 0.0
    """The probability that an answer of the step runs until the time limit of a query."""

    @property
    def one_by_one(self) -> dict[str, float]:
        """Seconds of the phases that follow one another."""
        return {name: self.phases[name] for name in self.critical}

    @property
    def seconds(self) -> float:
        return sum(self.one_by_one.values())

    @property
    def binds(self) -> str:
        """The longest of the phases that follow one another."""
        return max(self.critical, key=self.phases.__getitem__)

    @property
    def rate(self) -> float:
        """Answers, or rows, in a second."""
        return self.items / self.seconds

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "nodes": self.nodes,
            "gpus": {"learning": self.learners, "server": self.samplers},
            "seconds": self.seconds,
            "items_a_second": self.rate,
            "binds": self.binds,
            "phases": dict(self.phases),
            "critical": list(self.critical),
            "delayed": self.delayed,
            "network_bytes": dict(self.sent),
        }


def step(training: Training, nodes: int) -> Step:
    """A step on so many nodes; with a vLLM server the fastest division of the GPUs.

    Raises ModelError: the step cannot be divided among the GPUs, or none is left for the server.
    """
    gpus = nodes * training.cluster.gpus
    if not training.serves:
        return divided(training, nodes, gpus, 0)
    found = [divided(training, nodes, count, gpus - count) for count in _learners(training, gpus)]
    if not found:
        raise ModelError("train.vllm.mode=server needs a GPU beside those that learn: set --gpus-per-node 2")
    return min(found, key=lambda one: one.seconds)


def learning_plan(training: Training, learners: int) -> Plan:
    """The plan of a GPU that learns. Raises ModelError: the step cannot be divided."""
    cluster = training.cluster
    load = Workload(training.prompt, training.answer, True, cluster.gpu_memory, learners)
    load = replace(load, flops=cluster.gpu_flops, bandwidth=cluster.gpu_bandwidth)
    return plan(training.model, training.config, load)


def _learners(training: Training, gpus: int) -> Iterator[int]:
    """The numbers of GPUs that can learn while the others draw; ``train.async`` learns on one."""
    most = 1 if training.overlaps else training.config.items_per_step
    for count in range(1, min(most, gpus - 1) + 1):
        with suppress(ModelError):
            training.config.items_per_pass(count)
            yield count


def divided(training: Training, nodes: int, learners: int, samplers: int) -> Step:
    """A step with so many GPUs that learn and so many of a vLLM server.

    Raises ModelError: the step cannot be divided.
    """
    sent = _sent(training, learners, samplers)
    cluster = training.cluster
    rate = cluster.link_share * (cluster.network if nodes > 1 else cluster.interconnect)
    learning = learning_plan(training, learners)
    phases = {"learning": learning.seconds["learning"], "network": sum(sent.values()) / rate}
    config = training.config
    if isinstance(config, SftConfig):
        return Step(nodes, learners, 0, phases, ("learning", "network"), sent, config.items_per_step)
    answers = config.prompts_per_step * config.group_size
    phases["sampling"] = _sampling(training, config, samplers or learners)
    delayed = 1 - (1 - cluster.timeouts) ** answers
    work = answers * training.core_seconds / (cluster.cores * nodes)
    phases["scoring"] = work + delayed * training.limit
    critical = (*_critical(training, phases), "network")
    return Step(nodes, learners, samplers, phases, critical, sent, answers, delayed)


def _critical(training: Training, phases: Mapping[str, float]) -> tuple[str, ...]:
    """Those of sampling, scoring and learning that follow one another."""
    drawing: tuple[str, ...] = ("sampling", "scoring")
    if isinstance(training.config, GrpoConfig) and not training.config.vllm:
        drawing = (max(drawing, key=phases.__getitem__),)
    if not training.overlaps:
        return (*drawing, "learning")
    return max((drawing, ("learning",)), key=lambda names: sum(phases[name] for name in names))


def _sampling(training: Training, config: GrpoConfig, gpus: int) -> float:
    """Seconds in which a GPU draws its share of the answers; the last one may have fewer prompts."""
    prompts = -(-config.prompts_per_step // gpus)
    alone = config.model_copy(
        update={"vllm": None, "asynchronous": None, "prompts_per_step": prompts, "micro_groups": prompts}
    )
    return learning_plan(replace(training, config=alone), 1).seconds["sampling"]


def _sent(training: Training, learners: int, samplers: int) -> dict[str, float]:
    config, model = training.config, training.model
    trained = model.adapter_width * config.lora.r if config.lora else model.weights
    gradients = (2 if config.lora and config.lora.four_bit else 4) * trained
    part = (learners - 1) / learners
    if config.sharding == "fsdp2":
        sent = {"gradients": part * (2 * model.weights + gradients)}
    else:
        sent = {"gradients": 2 * part * gradients}
    if samplers and isinstance(config, GrpoConfig):
        answers = config.prompts_per_step * config.group_size
        sent["weights"] = (2 if config.lora else 4) * model.weights
        sent["answers"] = answers * (training.prompt + training.answer) * training.cluster.answer_bytes
    return sent
