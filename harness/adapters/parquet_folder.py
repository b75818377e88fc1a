"""A folder with which another trainer trains on a task: ``train`` and ``test``, each as parquet and as JSON.

The parquet file holds the prompts, the JSON file what scores the answers to them (``ExportedTask``).
Questions whose gold fails are left out: no answer to them can be scored, and some trainers stop at that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.adapters.options import ExportOptions
from harness.adapters.task_file import ExportedTask, exported_task
from harness.prepare import prepare_databases, warn_of_volatile_golds
from harness.render.progress import bar
from rewards.grader import Grader
from tasks.common import files
from tasks.common.errors import DataError, SpecError
from tasks.common.terminal import say
from tasks.linking.tokens import estimate
from tasks.task import Task
from tasks.types import Sample

SPLITS = ("train", "test")
"""The names of the files: the task's training split, and the one that it is evaluated on."""
CHUNK = 256
"""Golds that are run together."""
MARGIN = 1.25
"""By how much a tokenizer's count of a prompt may exceed our estimate."""
STEP = 256
"""A limit in tokens is rounded up to a multiple of this."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Trainer:
    """What differs between the trainers. ``columns(gold)``: the columns that only this one reads."""

    name: str
    columns: Callable[[str], Row]
    script: str
    """Name of the Python file in the folder by which the trainer finds our code."""
    code: str
    """Its text."""


@dataclass(frozen=True)
class Written:
    """What was written. ``prompt_tokens``: a limit that every prompt keeps, by estimate."""

    folder: Path
    task: Task
    prompt_tokens: int


def write_folder(trainer: Trainer, options: ExportOptions) -> Written:
    """Write the folder, also in the place of an earlier one.

    Raises SpecError: no such task, or the trainer cannot ask its prompts; DataError: its data is missing, or
    ``--out`` is something else.
    """
    out = Path(options.out or f"{trainer.name}_task").resolve()
    _expect_replaceable(out, trainer)
    task = Task.named(options.task, options.overrides, options.trust)
    if task.spec.prompt.is_completion:
        raise SpecError(f"{task.name}: {trainer.name} asks by chat messages, not by a completion prompt")
    chosen = (task.spec.dataset.train_split, options.split)
    splits = {name: ExportedTask(task, split) for name, split in zip(SPLITS, chosen, strict=True)}
    rows = {name: _rows(trainer, name, exported) for name, exported in splits.items()}
    with files.writing(out), files.new_folder(out, replace=True) as folder:
        for name, exported in splits.items():
            exported.write(folder / f"{name}.json")
            pq.write_table(pa.Table.from_pylist(rows[name]), folder / f"{name}.parquet")
        (folder / trainer.script).write_text(trainer.code, encoding="utf-8")
    longest = max(_tokens(row) for split in rows.values() for row in split)
    return Written(out, task, -int(-longest * MARGIN // STEP) * STEP)


def task_of(folder: Path, data_source: str, extra_info: Mapping[str, Any], gold: str) -> ExportedTask:
    """The task that scores answers to a row of a folder's parquet files.

    Raises DataError: the row is not of this folder, or its question has changed since.
    """
    if (split := extra_info.get("split")) not in SPLITS:
        raise DataError(f"extra_info.split is '{split}', not {' or '.join(SPLITS)}")
    exported = exported_task(str(folder / f"{split}.json"))
    if data_source != exported.task.name:
        raise DataError(f"{folder} scores {exported.task.name}, and a row is of '{data_source}'")
    if exported.sample(extra_info["id"]).gold[0] != gold:
        raise DataError(f"{folder}: question {extra_info['id']} has changed: export the task again")
    return exported


def _expect_replaceable(out: Path, trainer: Trainer) -> None:
    """Raise DataError if ``out`` holds anything but an earlier export."""
    own = {f"{name}.{kind}" for name in SPLITS for kind in ("json", "parquet")}
    with files.writing(out):
        if out.exists() and not out.is_dir():
            raise DataError(f"--out {out}: it is a file: name a folder")
        names = sorted(path.name for path in out.iterdir()) if out.exists() else []
    foreign = [name for name in names if name not in {*own, trainer.script, "__pycache__"}]
    if foreign or out == Path.cwd():
        holds = f"it holds '{foreign[0]}'" if foreign else "it is the current folder"
        raise DataError(f"--out {out}: {holds}: name a folder that export {trainer.name} may replace")


def _rows(trainer: Trainer, name: str, exported: ExportedTask) -> list[Row]:
    """The rows of one parquet file."""
    task = exported.task
    return [
        {
            "data_source": task.name,
            "prompt": list(task.messages(sample)),
            **trainer.columns(sample.gold[0]),
            "extra_info": {"index": index, "split": name, "id": sample.id},
        }
        for index, sample in enumerate(_scorable(exported))
    ]


def _scorable(exported: ExportedTask) -> list[Sample]:
    """The samples whose gold runs; a line on stderr counts the others. Raises DataError: none is left."""
    task, samples = exported.task, exported.samples
    prepare_databases(task, samples)
    warn_of_volatile_golds(task, samples)
    good: list[Sample] = []
    with Grader(task.spec.scoring) as grader, bar(f"golds of {exported.split}", len(samples)) as report:
        for start in range(0, len(samples), CHUNK):
            chunk = samples[start : start + CHUNK]
            grades = grader.grade(task, chunk, [sample.gold[0] for sample in chunk])
            pairs = zip(chunk, grades, strict=True)
            good += [sample for sample, grade in pairs if grade.scores["reward"].value is not None]
            report(len(chunk))
    left_out = len(samples) - len(good)
    if not good:
        raise DataError(f"{task.name}, {exported.split}: every gold fails: harness check tells why")
    if left_out:
        say(f"{task.name}, {exported.split}: {left_out} of {len(samples)} questions left out: the gold fails")
    return good


def _tokens(row: Row) -> int:
    """About the number of tokens of a row's prompt."""
    return sum(estimate(message["content"]) for message in row["prompt"])
