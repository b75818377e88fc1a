"""The reward is the metric: a trainer gets exactly what an evaluation stores, whatever the preset."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.evaluation import Evaluation, evaluate
from harness.spec import EvalSpec
from harness.training.train import training_reward
from leaderboards import store
from rewards.composite import SCORERS
from rewards.grader import Grader
from rewards.presets import PRESETS
from runners.types import Completion, Request, Sampling
from tasks.task import Task
from tasks.types import Sample

ANSWERS = [
    lambda sample: sample.gold[0],
    lambda sample: sample.gold[0].lower(),
    lambda sample: f"```sql\n{sample.gold[0]}\n```",
    lambda sample: sample.gold[0].replace("SELECT", "SELECT DISTINCT", 1),
    lambda sample: sample.gold[0] + " LIMIT 1",
    lambda sample: "SELECT 1",
    lambda sample: "SELECT * FROM nowhere",
    lambda sample: "SELEC",
    lambda sample: "I do not know.",
    lambda sample: "",
    lambda sample: f"DELETE FROM {sample.database}",
]
"""Right, nearly right and wrong in every way."""


def text(sample: Sample, index: int) -> str:
    return ANSWERS[index % len(ANSWERS)](sample)


class Scripted:
    """A runner that answers from ANSWERS, in turn."""

    name = "scripted"

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        for index, request in enumerate(requests):
            yield index, [Completion(text(request.sample, index))]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "override",
    [
        *(f"scoring.reward={name}" for name in PRESETS),
        "scoring.weights={syntax: 1, execution: 3, structure: 1}",
    ],
)
def test_the_trainer_gets_what_the_evaluation_stores(override: str, home: Path) -> None:
    task = Task.named("pocket", [override])
    samples = task.samples(limit=3 * len(ANSWERS))
    texts = [text(sample, index) for index, sample in enumerate(samples)]
    spec = EvalSpec(model="scripted", task="pocket", limit=len(samples))
    with Grader(task.spec.scoring, workers=2) as grader:
        run = evaluate(Evaluation(spec, task, Scripted(), grader), fresh=True)
    with Grader(task.spec.scoring, workers=1) as grader:
        rewards = training_reward(task, grader)(samples, texts)
    stored = {record.sample_id: record for record in store.records(run.id)}
    for sample, reward in zip(samples, rewards, strict=True):
        record = stored[sample.id]
        assert record.reward == reward.value
        scores = json.loads(record.parts)
        assert set(SCORERS) - {"security"} <= set(scores), "security has to be asked for"
        assert {name: value for name, value in scores.items() if value is not None} == dict(reward.parts)
        assert scores["execution"] == record.metric
