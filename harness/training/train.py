"""Train a model on a task: a spec becomes samples, prompts and a score, and the trainer gets them.

The trainer is paid what the evaluation would report: both call the same grader. Before and after, the model
is evaluated by the same path as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.evaluation import evaluate_model
from harness.prepare import prepare_databases
from harness.provenance import lineage
from harness.provenance.identity import of_training
from harness.render.curve import CurveLine
from harness.render.progress import Report, bar
from harness.spec import EvalSpec, TrainSpec
from harness.training import rows
from harness.training.alarms import TrainingAlarms
from harness.training.tracking import Tracker
from harness.turns import TurnsRunner
from leaderboards import store
from leaderboards.alarms import with_alarm_modes
from leaderboards.types import Run
from leaderboards.writer import RunWriter
from rewards.feedback import feedback
from rewards.grader import Grader
from runners.training import distributed
from runners.training.config import rows_used, total_steps
from runners.training.folder import completed_steps
from runners.training.stopping import memory_advice
from runners.types import FeedbackFunction, Request, Reward, RewardFunction, Runner, Sampling
from tasks.common.digests import digest_of
from tasks.task import Task
from tasks.types import Sample


def train_model(
    spec: TrainSpec, overrides: Sequence[str], out: Path, workers: int = 0, evaluated: bool = True
) -> list[Run]:
    """One stage of training into ``out/model``, with evaluations before and after it unless not wanted.

    Started again with the same arguments it goes on where it stopped.
    Raises SpecError, DataError, ModelError.
    """
    task = Task.named(spec.task, overrides, spec.trust)
    samples = rows.questions(spec, task)
    shown = rows.shown(spec, task, samples)
    if not distributed.is_main():
        with memory_advice():
            return _assist(spec, task, shown, out, workers)
    prepare_databases(task, samples)
    run = _describe(spec, task, samples, shown, out)
    before = [_evaluate(spec.model, spec, overrides, workers)] if evaluated else []
    model = out / "model"
    if not lineage.stands(run, model):
        lineage.expect_same(out, run)
        with store.open_run(run) as handle, grader_of(task, workers) as grader, memory_advice():
            trained = _train(spec, task, shown, out, grader, handle)
            lineage.write(model, lineage.of(handle.run, spec.task))
            handle.finish(trained)
    return before + ([_evaluate(str(model), spec, overrides, workers)] if evaluated else [])


def grader_of(task: Task, workers: int) -> Grader:
    """What a training scores with in this process."""
    return Grader(with_alarm_modes(task.spec.scoring), distributed.scoring_workers(workers))


def _assist(spec: TrainSpec, task: Task, shown: Sequence[Any], out: Path, workers: int) -> list[Run]:
    """The part of a process that is not the main one: its share of the answers, and no run of its own."""
    from runners.training.callbacks import Hooks
    from runners.training.grpo import train_grpo
    from runners.training.sft import train_sft

    if spec.method == "sft":
        train_sft(spec.model, shown, spec.sft, out)
        return []
    with grader_of(task, workers) as grader:
        hooks = Hooks(feedback=database_feedback(task, grader))
        train_grpo(spec.model, shown, trainer_score(task, grader), spec.grpo, out, hooks)
    return []


def _evaluate(model: str, spec: TrainSpec, overrides: Sequence[str], workers: int) -> Run:
    return evaluate_model(
        EvalSpec(model=model, task=spec.task, turns=spec.turns, trust=spec.trust), overrides, workers
    )


def _describe(spec: TrainSpec, task: Task, samples: Sequence[Sample], shown: Sequence[Any], out: Path) -> Run:
    parent = lineage.read(lineage.model_path(spec.model))
    seen = (
        [one.passes for one in shown if isinstance(one, Request)]
        if spec.method == "grpo" and spec.grpo.curriculum
        else None
    )
    identity = of_training(spec, task, samples, seen)
    given = {
        "rows": len(shown),
        "seen": rows_used(spec.config, len(shown)),
        "databases": sorted({sample.database for sample in samples}),
        "sees": rows.sees(spec),
        **spec.config.model_dump(mode="json"),
    }
    return Run(
        id=store.new_id(f"{out.name}-{spec.method}", task.name),
        kind="train",
        model=str(out / "model"),
        task=task.name,
        task_digest=identity.task_digest,
        split=spec.split or task.spec.dataset.train_split,
        metric=task.spec.scoring.metric.value,
        scorer_version=identity.scorer,
        digest=digest_of(identity.digest, str(out.resolve())),
        method=spec.method,
        parent=spec.model,
        seed=spec.config.seed,
        limit=spec.limit,
        spec={
            "train": spec.model_dump(mode="json"),
            "task": task.spec.model_dump(mode="json", by_alias=True),
        },
        training={**parent.training, spec.method: given},
        versions=lineage.versions(),
        commit=lineage.commit(),
        identity=asdict(identity),
        parent_content=digest_of(identity.model),
    )


def _train(
    spec: TrainSpec, task: Task, shown: Sequence[Any], out: Path, grader: Grader, handle: RunWriter
) -> dict[str, Any]:
    """Run the trainer of the method to its end; its result as plain data."""
    from runners.training.callbacks import Hooks
    from runners.training.grpo import train_grpo
    from runners.training.sft import train_sft

    watch = TrainingAlarms(handle.run.id, task.spec.scoring.metric)
    tracking = Tracker(handle.run, out) if spec.config.wandb else nullcontext()
    total, before = total_steps(spec.config, len(shown)), completed_steps(out)
    with tracking as tracker, bar(f"{spec.method} {out}", total, before) as report:
        on_step = _on_step(handle, report, watch, tracker)
        checkpointed = {"alarms": watch}
        hooks = Hooks(evaluate=_dev_score(spec, task, grader), on_step=on_step, checkpointed=checkpointed)
        if spec.method == "sft":
            return asdict(train_sft(spec.model, shown, spec.sft, out, hooks))
        score = trainer_score(task, grader, watch, tracker)
        hooks = replace(hooks, feedback=database_feedback(task, grader))
        return {
            **asdict(train_grpo(spec.model, shown, score, spec.grpo, out, hooks)),
            **watch.summary(),
        }


def trainer_score(
    task: Task, grader: Grader, watch: TrainingAlarms | None = None, tracker: Tracker | None = None
) -> RewardFunction:
    """The training reward: the score ``reward`` of the grader that evaluations use too."""

    def score(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
        grades = grader.grade(task, samples, texts)
        if watch:
            watch.add(samples, texts, grades)
        if tracker:
            tracker.add(samples, grades)
        return [
            Reward(
                grade.scores["reward"].value,
                {name: one.value for name, one in grade.scores.items() if one.value is not None},
                grade.attempt.verdicts.get(task.spec.scoring.metric),
            )
            for grade in grades
        ]

    return score


def database_feedback(task: Task, grader: Grader) -> FeedbackFunction:
    """What the database says to each answer, as in ``harness eval --turns``."""

    def said(samples: Sequence[Sample], texts: Sequence[str], before: Sequence[str]) -> list[str]:
        graded = grader.grade(task, samples, texts)
        return [feedback(grade.attempt, text) for grade, text in zip(graded, before, strict=True)]

    return said


def _dev_score(spec: TrainSpec, task: Task, grader: Grader) -> Callable[[Any], float] | None:
    """The metric of a live model on the dev questions, greedy; None where there is no dev split."""
    if not spec.dev_limit or spec.dev_split not in task.spec.dataset.splits:
        return None
    samples = task.samples(spec.dev_split, spec.dev_limit, seed=0)
    requests = [Request(sample, task.messages(sample)) for sample in samples]
    sampling = Sampling(max_new_tokens=task.spec.answer.max_new_tokens, stop=task.spec.answer.stop)

    def evaluate(model: Any) -> float:
        from runners.hf import HfRunner
        from runners.weights.loading import load_tokenizer
        from runners.weights.source import resolve

        runner: Runner = HfRunner(model, load_tokenizer(resolve(spec.model)))
        if spec.turns > 1:
            runner = TurnsRunner(runner, task, 1, spec.turns)
        with closing(runner):
            drawn = {index: answers[0].text for index, answers in runner.generate(requests, sampling)}
        grades = grader.grade(task, samples, [drawn[index] for index in range(len(samples))])
        verdicts = [grade.attempt.verdicts.get(task.spec.scoring.metric) for grade in grades]
        return fmean([verdict for verdict in verdicts if verdict is not None] or [0.0])

    return evaluate


def _on_step(
    handle: RunWriter, report: Report, watch: TrainingAlarms, tracker: Tracker | None
) -> Callable[[Mapping[str, float]], Mapping[str, float]]:
    live = CurveLine(store.curve(handle.run.id))

    def on_step(row: Mapping[str, float]) -> Mapping[str, float]:
        signs = watch.step(row)
        handle.append_curve([{**row, **signs}])
        report(1, live.add(row))
        if tracker:
            tracker.step({**row, **signs})
        return signs

    return on_step
