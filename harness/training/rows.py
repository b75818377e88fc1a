"""The rows of a stage of training: questions of the task, and rows of files for SFT."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from harness.provenance.identity import current
from harness.spec import TrainSpec
from harness.training.held_out import HeldOut
from leaderboards import store
from leaderboards.find import candidates
from leaderboards.identity import Identity, identity_of, judged_differently, listed
from leaderboards.summary import by_question
from leaderboards.types import Run
from runners.types import Request, TrainingExample
from tasks.common.errors import DataError, SpecError
from tasks.task import Task
from tasks.types import Sample

GOLD = "gold"


def questions(spec: TrainSpec, task: Task) -> list[Sample]:
    """The questions of the task to train on; none if SFT uses files only.

    Raises SpecError, DataError: a question is held out, or ``--only`` leaves none.
    """
    if spec.method == "sft" and GOLD not in spec.data:
        return []
    if spec.method == "sft" and not task.spec.dataset.gives_sql:
        raise SpecError(f"{task.name} gives results, not SQL, which SFT needs: use GRPO, or --data FILE")
    held_out = HeldOut.of(spec, task)
    held_out.refuse_split(spec)
    split = spec.split or task.spec.dataset.train_split
    samples = [
        sample
        for sample in task.samples(split, seed=spec.sample_seed)
        if all(getattr(sample, name) in values for name, values in spec.only.items())
    ]
    if not samples:
        wanted = " ".join(f"{name}={','.join(values)}" for name, values in spec.only.items())
        raise DataError(f"{task.name}: no question of '{split}' matches --only {wanted}")
    chosen = samples[: spec.limit or None]
    examples = dict.fromkeys(example for sample in chosen for example in task.examples(sample))
    held_out.refuse_samples(dict.fromkeys([*chosen, *examples]))
    return chosen


def training_rows(
    spec: TrainSpec, task: Task, samples: Sequence[Sample]
) -> list[TrainingExample] | list[Request]:
    """The rows for the trainer of the spec's method: examples for SFT, prompts for GRPO."""
    return _examples(spec, task, samples) if spec.method == "sft" else _requests(spec, task, samples)


def described(spec: TrainSpec) -> str:
    """Description of the data that a stage learns from, for the board."""
    if spec.method == "grpo":
        return "questions and gold rows"
    files = [name for name in spec.data if name != GOLD]
    return ", ".join(
        ["questions and gold SQL"] * (GOLD in spec.data) + [f"the rows of {file}" for file in files]
    )


def _examples(spec: TrainSpec, task: Task, samples: Sequence[Sample]) -> list[TrainingExample]:
    """SFT's rows: the questions with their gold, then the rows of the files in ``spec.data``."""
    examples = [TrainingExample(task.messages(sample), sample.gold[0]) for sample in samples]
    held_out = HeldOut.of(spec, task)
    for file in spec.data:
        if file != GOLD:
            examples += _of_file(Path(file), held_out)
    return examples


def _of_file(path: Path, held_out: HeldOut) -> list[TrainingExample]:
    """Rows of prompt and completion messages, as ``harness sample`` writes them.

    Raises DataError: no such file, an invalid row, or a held-out question.
    """
    if not path.is_file():
        raise DataError(f"--data: no such file: {path}")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
            if not all(isinstance(message["content"], str) for message in row["prompt"]):
                raise ValueError("no text")
            rows.append(TrainingExample(tuple(row["prompt"]), row["completion"][-1]["content"]))
        except (ValueError, KeyError, TypeError, IndexError):
            raise DataError(f"{where}: not a row of 'prompt' and 'completion' messages") from None
        held_out.refuse_row(row, where)
    return rows


def _requests(spec: TrainSpec, task: Task, samples: Sequence[Sample]) -> list[Request]:
    """GRPO's prompts, each with its pass counts in the evaluation that a curriculum names."""
    passes = _pass_counts(spec, task)
    return [Request(sample, task.messages(sample), passes.get(sample.id, (0.0, 0.0))) for sample in samples]


def _pass_counts(spec: TrainSpec, task: Task) -> dict[str, tuple[float, float]]:
    """Question -> (right answers, all answers) in the evaluation that ``train.curriculum.run`` names.

    Raises DataError: no such evaluation, or its task, split or content differs.
    """
    if not (spec.grpo.curriculum and spec.grpo.curriculum.run):
        return {}
    split = spec.split or task.spec.dataset.train_split
    name = spec.grpo.curriculum.run
    matching = [run for run in candidates(name) if (run.task, run.split) == (task.name, split)]
    if not matching:
        raise DataError(
            f"train.curriculum.run: '{name}' was not asked the questions of {task.name} '{split}':"
            f" harness eval --model M --task {task.name} --split {split} --samples 8 --temperature 1"
        )
    now = current(task, split)
    changes = [_changes(run, now) for run in matching]
    if all(changes):
        raise DataError(
            f"train.curriculum.run: since run {matching[0].id} there is a change in {listed(changes[0])}:"
            " evaluate again"
        )
    run = matching[changes.index([])]
    return {
        question: (sum(answer.metric == 1 for answer in answers), len(answers))
        for question, answers in by_question(store.records(run.id)).items()
    }


def _changes(run: Run, now: Identity) -> list[str]:
    """The inputs of an evaluation that have changed since, in words; empty if none has."""
    then = identity_of(run)
    if then is None:
        return ["what it was made of, which it did not record"]
    return judged_differently(then, now) + ["the scorer"] * (then.scorer != now.scorer)
