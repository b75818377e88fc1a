"""Evaluate one model on one task: questions -> prompts -> completions -> grades -> records.

The runner draws answers while the sandbox judges earlier ones. Judged answers are written at once, so that a
killed evaluation continues where it stopped: evaluations whose inputs have the same content are the same run
(``leaderboards.identity``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.prepare import prepare_databases, warn_of_volatile_golds
from harness.provenance import lineage
from harness.provenance.identity import expect_unchanged, of_evaluation, report_changes
from harness.render.progress import Tally, bar
from harness.spec import EvalSpec
from harness.turns import TurnsRunner
from leaderboards import shards, store
from leaderboards.alarms import MODES, with_alarm_modes
from leaderboards.summary import summary
from leaderboards.types import Record, Run
from leaderboards.writer import RunWriter
from rewards.grader import Grader
from rewards.types import Grade
from runners.replay import ReplayRunner
from runners.types import Completion, Request, Runner, Sampling, unsent
from tasks.common.terminal import say
from tasks.task import Task
from tasks.types import Mode, Sample, Workers

CHUNK = 128
"""Answers judged together: enough to occupy all workers, few enough to be written often."""
CHUNK_SECONDS = 5.0
"""With a slow runner, answers are judged and written at least this often."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The parts of one evaluation. ``path``: of the model, on this machine; ``modes``: of the verdicts."""

    spec: EvalSpec
    task: Task
    runner: Runner
    grader: Grader
    path: Path | None = None
    modes: tuple[Mode, ...] = ()

    @property
    def sampling(self) -> Sampling:
        spec = self.spec
        return Sampling(
            temperature=spec.temperature,
            n=spec.samples,
            max_new_tokens=spec.max_new_tokens or self.task.spec.answer.max_new_tokens,
            top_p=spec.top_p,
            seed=spec.seed,
            stop=self.task.spec.answer.stop,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """All settings that affect sampling, as the run records them."""
        sent = self.spec.runner.endpoint.body if self.spec.model.startswith("openai:") else {}
        turns = {"turns": self.spec.turns} if self.spec.turns > 1 else {}
        return self.sampling.settings(sent) | turns


def evaluate_model(
    spec: EvalSpec,
    overrides: Sequence[str],
    workers: Workers,
    fresh: bool = False,
    modes: Sequence[Mode] = MODES,
) -> Run:
    """Evaluate a model by name; see ``evaluate_task``. ``overrides``: keys of the task."""
    return evaluate_task(spec, Task.named(spec.task, overrides, spec.trust), workers, fresh, modes)


def evaluate_task(
    spec: EvalSpec, task: Task, workers: Workers, fresh: bool = False, modes: Sequence[Mode] = MODES
) -> Run:
    """Evaluate a model by name on a task; see ``evaluate``. ``modes``: further modes besides the task's.

    Raises SpecError, DataError, ModelError.
    """
    from runners.cluster.replicas import ReplicaRunner
    from runners.open import open_runner

    spec = spec.of_task(task.spec)
    task.progress = bar
    opened = ReplicaRunner if spec.runner.replicas else open_runner
    runner: Runner = opened(spec.model, spec.runner)
    if isinstance(runner, ReplayRunner):
        runner.expect(task.row_keys(spec.split))
    if spec.turns > 1:
        runner = TurnsRunner(runner, task, workers, spec.turns)
    scoring = with_alarm_modes(task.spec.scoring, modes)
    with closing(runner), Grader(scoring, workers, digests=spec.samples > 1) as grader:
        path = lineage.model_path(spec.model)
        return evaluate(Evaluation(spec, task, runner, grader, path, scoring.modes), fresh)


def evaluate(evaluation: Evaluation, fresh: bool = False) -> Run:
    """Evaluate and return the run; without ``fresh``, a finished run of the same inputs is returned as it is.

    With ``spec.shard`` only that shard is evaluated; the run is finished if it was the last one.

    If the model or endpoint is lost, the run stays unfinished, and the same call asks the missing questions.
    A finished run may hold questions that the model cannot take, and a few that failed while others were
    answered.
    """
    samples = _samples(evaluation)
    prepare_databases(evaluation.task, samples)
    warn_of_volatile_golds(evaluation.task, samples)
    run = _describe(evaluation, samples)
    if not fresh:
        if finished := store.finished(run):
            return finished
        report_changes(run)
    shard = evaluation.spec.shard
    with shards.open_shard(run, shard, len(samples)) if shard else store.open_run(run) as writer:
        if not _draw(evaluation, writer, shard.of(samples) if shard else samples):
            return writer.run
        expect_unchanged(writer.run, evaluation.spec, evaluation.task, samples)
        if shard is None:
            return writer.finish(summary(writer.records))
        shards.complete(writer)
    return shards.merge(writer.run.id)


def _draw(evaluation: Evaluation, writer: RunWriter, samples: Sequence[Sample]) -> bool:
    """Draw and judge the answers that the writer lacks; returns whether it has all of them then."""
    missing_samples = [s for s in samples if not _answered(writer, s, evaluation.spec.samples)]
    with bar(evaluation.runner.name, len(samples), len(samples) - len(missing_samples)) as report:
        tally = Tally(record for record in writer.done.values() if record.finish != "error")
        for records in _judged(evaluation, missing_samples):
            writer.append(records)
            report(len({record.sample_id for record in records}), tally.add(records))
    writer.note_sampling({**writer.run.sampling, **dict.fromkeys(unsent(evaluation.runner))})
    records = list(writer.done.values())
    missing = _report_finish(records, "error", "answers failed")
    _report_finish(records, "failed", "answers failed repeatedly, and stay unscored")
    _report_finish(records, "unanswered", "answers that the model could not give count as wrong")
    return not missing


def _report_finish(records: Sequence[Record], finish: str, description: str) -> int:
    """Report the records with this ``finish`` on stderr; returns their number."""
    matching = [record for record in records if record.finish == finish]
    if matching:
        first = matching[0]
        say(f"{len(matching)} {description}; question {first.sample_id}: {first.detail}")
    return len(matching)


def _samples(evaluation: Evaluation) -> list[Sample]:
    spec = evaluation.spec
    return evaluation.task.samples(spec.split, spec.limit, spec.sample_seed)


def _answered(writer: RunWriter, sample: Sample, count: int) -> bool:
    records = [writer.done.get((sample.id, index)) for index in range(count)]
    return all(record is not None and record.finish != "error" for record in records)


def _describe(evaluation: Evaluation, samples: Sequence[Sample]) -> Run:
    """The run as it is stored before the first answer."""
    spec, task = evaluation.spec, evaluation.task
    split = spec.split or task.spec.dataset.eval_split
    origin = lineage.read(evaluation.path)
    identity = of_evaluation(spec, task, samples)
    method: Any = origin.method
    task_spec = task.spec.model_dump(mode="json", by_alias=True)
    return Run(
        id=store.new_id(evaluation.runner.name, task.name),
        kind="eval",
        model=evaluation.runner.name,
        task=task.name,
        task_digest=identity.task_digest,
        split=split,
        metric=task.spec.scoring.metric.value,
        scorer_version=identity.scorer,
        digest=identity.digest,
        method=method,
        parent=origin.parent,
        trained_by=origin.run,
        sampling=evaluation.settings,
        seed=spec.seed,
        limit=spec.limit,
        skipped=task.skipped.get(split, 0),
        spec={"eval": spec.model_dump(mode="json"), "task": task_spec, "modes": sorted(evaluation.modes)},
        training=origin.training,
        versions=lineage.versions(),
        commit=lineage.commit(),
        identity=asdict(identity),
        parent_content=origin.parent_content,
    )


def _judged(evaluation: Evaluation, samples: Sequence[Sample]) -> Iterator[list[Record]]:
    """Yield records in chunks; a thread judges a chunk in the sandbox while the runner draws the next.

    After a failure of the runner or Ctrl-C, the answers drawn so far are still judged.
    """
    requests = [Request(sample, evaluation.task.messages(sample)) for sample in samples]
    drawn = evaluation.runner.generate(requests, evaluation.sampling)
    waiting: list[Future[list[Record]]] = []
    stopped: BaseException | None = None
    with ThreadPoolExecutor(max_workers=1) as thread:
        try:
            for chunk in _chunks(requests, drawn):
                waiting.append(thread.submit(_records, evaluation, chunk))
                while waiting and waiting[0].done():
                    yield waiting.pop(0).result()
        except (Exception, KeyboardInterrupt) as error:
            stopped = error
        for future in waiting:
            yield future.result()
    if stopped:
        raise stopped


Drawn = tuple[Request, int, Completion]


def _chunks(
    requests: Sequence[Request], drawn: Iterable[tuple[int, list[Completion]]]
) -> Iterator[list[Drawn]]:
    chunk: list[Drawn] = []
    began = time.monotonic()
    stopped: BaseException | None = None
    try:
        for index, completions in drawn:
            chunk += [(requests[index], number, completion) for number, completion in enumerate(completions)]
            if len(chunk) >= CHUNK or time.monotonic() - began > CHUNK_SECONDS:
                yield chunk
                chunk, began = [], time.monotonic()
    except (Exception, KeyboardInterrupt) as error:
        stopped = error
    if chunk:
        yield chunk
    if stopped:
        raise stopped


def _records(evaluation: Evaluation, chunk: Sequence[Drawn]) -> list[Record]:
    samples = [request.sample for request, _, _ in chunk]
    grades = evaluation.grader.grade(
        evaluation.task, samples, [completion.text for _, _, completion in chunk]
    )
    return [record_of(evaluation.task, *drawn, grade) for drawn, grade in zip(chunk, grades, strict=True)]


def record_of(task: Task, request: Request, number: int, completion: Completion, grade: Grade) -> Record:
    """The record of completion ``number`` of a request; unscored if the runner failed to draw it."""
    sample, attempt = request.sample, grade.attempt
    failed = completion.finish in ("failed", "error")
    verdicts = {} if failed else attempt.verdicts
    reward = grade.scores["reward"]
    return Record(
        sample_id=sample.id,
        question=sample.question,
        database=sample.database,
        completion=completion.text,
        reason="infrastructure" if failed else attempt.reason.value,
        sample_index=number,
        difficulty=sample.difficulty,
        part=sample.part,
        family=sample.family,
        prompt=json.dumps(request.messages + completion.history, ensure_ascii=False),
        sql=attempt.sql,
        gold=sample.gold[0],
        detail=attempt.detail if completion.finish in ("stop", "length") else completion.error,
        metric=verdicts.get(task.spec.scoring.metric),
        **{mode.value: verdicts.get(mode.value) for mode in Mode},
        reward=None if failed else reward.value,
        parts=json.dumps({name: score.value for name, score in grade.scores.items()}),
        executes=attempt.executes,
        rows=attempt.rows,
        gold_rows=attempt.gold_rows,
        columns=attempt.columns,
        gold_columns=attempt.gold_columns,
        prompt_tokens=completion.prompt_tokens,
        tokens=completion.tokens,
        seconds=completion.seconds,
        finish=completion.finish,
        logprob=completion.logprob,
        cost=completion.cost,
        result=attempt.result_digest,
        examples=json.dumps([example.id for example in task.examples(sample)]),
        other_gold=sample.gold[attempt.gold] if attempt.gold else "",
        flags=None if failed or attempt.flags is None else ",".join(attempt.flags),
    )
