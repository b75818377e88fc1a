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
from tasks.common.errors import DataError
from tasks.task import Task
from tasks.types import Sample

GOLD = "gold"


def questions(spec: TrainSpec, task: Task) -> list[Sample]:
    """The questions of the task to train on; none where SFT uses files only.

    Raises SpecError, DataError: they are held out, or ``--only`` leaves none.
    """
    if spec.method == "sft" and GOLD not in spec.data:
        return []
    held_out = HeldOut.of(spec, task)
    held_out.refuse_split(spec)
    split = spec.split or task.spec.dataset.train_split
    samples = [
        sample
        for sample in task.samples(split, seed=spec.sample_seed)
        if all(getattr(sample, name) in values for name, values in spec.only.items())
    ]
    if not samples:
        raise DataError(f"{task.name}: no sample of '{split}' is one of --only {dict(spec.only)}")
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
    """What a stage learns from, in words for the board."""
    if spec.method == "grpo":
        return "questions and gold rows"
    files = [name for name in spec.data if name != GOLD]
    return ", ".join(
        ["questions and gold SQL"] * (GOLD in spec.data) + [f"the rows of {one}" for one in files]
    )


def _examples(spec: TrainSpec, task: Task, samples: Sequence[Sample]) -> list[TrainingExample]:
    """SFT's rows: the questions with their gold, then the rows of the files in ``spec.data``."""
    found = [TrainingExample(task.messages(sample), sample.gold[0]) for sample in samples]
    held_out = HeldOut.of(spec, task)
    for file in spec.data:
        if file != GOLD:
            found += _of_file(Path(file), held_out)
    return found


def _of_file(path: Path, held_out: HeldOut) -> list[TrainingExample]:
    """Rows of prompt and completion messages, as ``harness sample`` writes them.

    Raises DataError: no such file, no such row, or a held-out question.
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
    """GRPO's prompts, with how often each was answered right where a curriculum names an evaluation."""
    seen = _passed(spec, task)
    return [Request(sample, task.messages(sample), seen.get(sample.id, (0.0, 0.0))) for sample in samples]


def _passed(spec: TrainSpec, task: Task) -> dict[str, tuple[float, float]]:
    """Question -> right answers, of how many, in the evaluation that ``train.curriculum.run`` names.

    Raises DataError: no such evaluation, or one of another task or split, or of other content.
    """
    if not (spec.grpo.curriculum and spec.grpo.curriculum.run):
        return {}
    split = spec.split or task.spec.dataset.train_split
    name = spec.grpo.curriculum.run
    known = [run for run in candidates(name) if (run.task, run.split) == (task.name, split)]
    if not known:
        raise DataError(
            f"train.curriculum.run: '{name}' was not asked the questions of {task.name} '{split}':"
            f" harness eval --model M --task {task.name} --split {split} --samples 8 --temperature 1"
        )
    now = current(task, split)
    why = [[*_unlike(run, now)] for run in known]
    if all(why):
        raise DataError(
            f"train.curriculum.run: since run {known[0].id} there is a change in {listed(why[0])}: ask again"
        )
    run = known[why.index([])]
    asked = by_question(store.records(run.id))
    return {key: (sum(one.metric == 1 for one in some), len(some)) for key, some in asked.items()}


def _unlike(run: Run, now: Identity) -> list[str]:
    """In plain words what an evaluation judged that is no longer so."""
    then = identity_of(run)
    if then is None:
        return ["what it was made of, which it did not record"]
    return judged_differently(then, now) + ["the scorer"] * (then.scorer != now.scorer)
