"""Train a model on a task: make samples, prompts and a training reward from the spec, and call the trainer.

The training reward is the score that the evaluation reports: both call the same grader. Before and after the
training, the model is evaluated as by ``harness eval``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.evaluation import evaluate_model
from harness.prepare import prepare_databases
from harness.provenance import lineage
from harness.provenance.identity import changed_databases, of_training
from harness.render.curve import CurveLine
from harness.render.progress import Report, bar
from harness.spec import EvalSpec, TrainSpec
from harness.training import rows
from harness.training.alarms import Scored, TrainingAlarms
from harness.training.tracking import StepLog, tracker_of
from harness.turns import TurnsRunner
from leaderboards import store
from leaderboards.alarms import with_alarm_modes
from leaderboards.types import Run
from rewards.feedback import feedback
from rewards.grader import Grader
from rewards.types import Grade
from runners.settings import RunnerConfig
from runners.training import distributed
from runners.training.config import rows_used, total_steps
from runners.training.folder import completed_steps
from runners.training.stopping import memory_advice
from runners.types import FeedbackFunction, Request, Reward, RewardFunction, Runner, Sampling
from runners.weights.identity import content
from tasks.common.digests import digest_of
from tasks.task import Task
from tasks.types import Sample, Workers


def train_model(
    spec: TrainSpec, overrides: Sequence[str], out: Path, workers: Workers = 0, evaluated: bool = True
) -> list[Run]:
    """Train one stage into ``out/model``; with ``evaluated`` also evaluate the model before and after it.

    Returns the evaluations. The same call continues a training that was interrupted.
    Raises SpecError, DataError, ModelError.
    """
    task = Task.named(spec.task, overrides, spec.trust)
    samples = rows.questions(spec, task)
    examples = rows.training_rows(spec, task, samples)
    if not distributed.is_main():
        with memory_advice():
            return _train_in_other_process(spec, task, examples, out, workers)
    prepare_databases(task, samples)
    run = _describe(spec, task, samples, examples, out)
    model = out / "model"
    made_by = lineage.read(model).run if lineage.is_trained(run, model) else ""
    if not made_by:
        lineage.expect_same(out, run)
    with tracker_of(spec.config.tracker, run, out, made_by) as tracker:
        before = [_evaluate(spec.model, spec, overrides, workers)] if evaluated else []
        if not made_by:
            with store.open_run(run) as writer, grader_of(task, workers) as grader, memory_advice():
                trained = _train(spec, task, examples, out, grader, StepLog(writer, tracker))
                for folder in filter(Path.is_dir, (model, out / "adapter")):
                    lineage.write(folder, lineage.of(writer.run, spec.task))
                changed = changed_databases(run, task, samples)
                writer.finish(trained | ({"changed_databases": changed} if changed else {}))
        after = [_evaluate(str(model), spec, overrides, workers)] if evaluated else []
        if tracker:
            tracker.trained(model, content(str(model)))
            tracker.evaluated(before, after)
    return before + after


def grader_of(task: Task, workers: Workers) -> Grader:
    """The grader of a training in this process, with the modes that the alarms compare."""
    shared = distributed.scoring_workers(workers) if isinstance(workers, int) else workers
    return Grader(with_alarm_modes(task.spec.scoring), shared)


def _train_in_other_process(
    spec: TrainSpec, task: Task, examples: Sequence[Any], out: Path, workers: Workers
) -> list[Run]:
    """Train in a process other than the main one. It scores its share of the answers and writes no run."""
    from runners.training.callbacks import Hooks
    from runners.training.grpo import train_grpo
    from runners.training.sft import train_sft

    if spec.method == "sft":
        train_sft(spec.model, examples, spec.sft, out)
        return []
    with grader_of(task, workers) as grader:
        hooks = Hooks(feedback=database_feedback(task, grader))
        train_grpo(spec.model, examples, training_reward(task, grader), spec.grpo, out, hooks)
    return []


def _evaluate(model: str, spec: TrainSpec, overrides: Sequence[str], workers: Workers) -> Run:
    return evaluate_model(
        EvalSpec(
            model=model,
            task=spec.task,
            turns=spec.turns,
            runner=RunnerConfig(
                chat_template=spec.config.chat_template,
                chat_template_kwargs=spec.config.chat_template_kwargs,
            ),
            trust=spec.trust,
        ),
        overrides,
        workers,
    )


def _describe(
    spec: TrainSpec, task: Task, samples: Sequence[Sample], examples: Sequence[Any], out: Path
) -> Run:
    parent = lineage.read(lineage.model_path(spec.model))
    passes = None
    if spec.method == "grpo" and spec.grpo.curriculum:
        passes = [request.passes for request in examples if isinstance(request, Request)]
    identity = of_training(spec, task, samples, passes)
    stage = {
        "rows": len(examples),
        "seen": rows_used(spec.config, len(examples)),
        "databases": sorted({sample.database for sample in samples}),
        "sees": rows.described(spec),
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
        training={**parent.training, spec.method: stage},
        versions=lineage.versions(),
        commit=lineage.commit(),
        identity=asdict(identity),
        parent_content=digest_of(identity.model),
    )


def _train(
    spec: TrainSpec, task: Task, examples: Sequence[Any], out: Path, grader: Grader, log: StepLog
) -> dict[str, Any]:
    """Run the trainer of the method to its end, and return its result as plain data."""
    from runners.training.callbacks import Hooks
    from runners.training.grpo import train_grpo
    from runners.training.sft import train_sft

    alarms = TrainingAlarms(log.writer.run.id, task.spec.scoring.metric)
    answers = StepAnswers()
    total, before = total_steps(spec.config, len(examples)), completed_steps(out)
    with bar(f"{spec.method} {out}", total, before) as report:
        on_step = _on_step(log, report, answers, alarms)
        checkpointed = {"alarms": alarms}
        hooks = Hooks(evaluate=_dev_score(spec, task, grader), on_step=on_step, checkpointed=checkpointed)
        if spec.method == "sft":
            return asdict(train_sft(spec.model, examples, spec.sft, out, hooks))
        score = training_reward(task, grader, answers)
        hooks = replace(
            hooks,
            feedback=database_feedback(task, grader),
            batch_scored=answers.batch_scored,
        )
        return {
            **asdict(train_grpo(spec.model, examples, score, spec.grpo, out, hooks)),
            **alarms.summary(),
        }


class StepAnswers:
    """The scored answers of each step, from when they are drawn until the step is logged."""

    def __init__(self) -> None:
        self._step: list[Scored] = []
        """The answers of the step that is drawn, in no fixed order."""
        self._drawn: deque[list[Scored]] = deque()
        """The answers of the steps that are drawn but not learned from."""

    def add(self, samples: Sequence[Sample], texts: Sequence[str], grades: Sequence[Grade]) -> None:
        """Add scored answers of the step that is drawn."""
        self._step += zip(samples, texts, grades, strict=True)

    def batch_scored(self) -> None:
        """All answers of the step are added; later ones are those of the next step."""
        self._drawn.append(self._step)
        self._step = []

    def take(self) -> list[Scored]:
        """The answers of the next step to be logged; none if it learned again from those of the last one."""
        return self._drawn.popleft() if self._drawn else []


def training_reward(task: Task, grader: Grader, answers: StepAnswers | None = None) -> RewardFunction:
    """The reward function of the trainer: the score ``reward`` of the grader that evaluations use too.

    ``answers`` gets every scored answer.
    """

    def score(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
        grades = grader.grade(task, samples, texts)
        if answers:
            answers.add(samples, texts, grades)
        return [
            Reward(
                grade.scores["reward"].value,
                {name: score.value for name, score in grade.scores.items() if score.value is not None},
                grade.attempt.verdicts.get(task.spec.scoring.metric),
            )
            for grade in grades
        ]

    return score


def database_feedback(task: Task, grader: Grader) -> FeedbackFunction:
    """The database's feedback on each answer, as in ``harness eval --turns``."""

    def give_feedback(samples: Sequence[Sample], texts: Sequence[str], before: Sequence[str]) -> list[str]:
        graded = grader.grade(task, samples, texts)
        return [feedback(grade.attempt, text) for grade, text in zip(graded, before, strict=True)]

    return give_feedback


def _dev_score(spec: TrainSpec, task: Task, grader: Grader) -> Callable[[Any], float] | None:
    """A function from a model in memory to its metric on the dev questions, decoded greedily.

    None if there is no dev split.
    """
    if not spec.dev_limit or spec.dev_split not in task.spec.dataset.splits:
        return None
    samples = task.samples(spec.dev_split, spec.dev_limit, seed=0)
    requests = [Request(sample, task.messages(sample)) for sample in samples]
    sampling = Sampling(max_new_tokens=task.spec.answer.max_new_tokens, stop=task.spec.answer.stop)

    def evaluate(model: Any) -> float:
        from runners.hf import HfRunner
        from runners.weights.loading import load_tokenizer
        from runners.weights.source import resolve

        runner: Runner = HfRunner(model, load_tokenizer(resolve(spec.model).with_template(spec.config)))
        if spec.turns > 1:
            runner = TurnsRunner(runner, task, 1, spec.turns)
        with closing(runner):
            texts = {index: answers[0].text for index, answers in runner.generate(requests, sampling)}
        grades = grader.grade(task, samples, [texts[index] for index in range(len(samples))])
        verdicts = [grade.attempt.verdicts.get(task.spec.scoring.metric) for grade in grades]
        return fmean([verdict for verdict in verdicts if verdict is not None] or [0.0])

    return evaluate


def _on_step(
    log: StepLog, report: Report, answers: StepAnswers, alarms: TrainingAlarms
) -> Callable[[Mapping[str, float]], Mapping[str, float]]:
    line = CurveLine(store.curve(log.writer.run.id))

    def on_step(row: Mapping[str, float]) -> Mapping[str, float]:
        scored = answers.take()
        measures = alarms.step(row, scored)
        log.append({**row, **measures}, scored)
        report(1, line.add(row))
        return measures

    return on_step
