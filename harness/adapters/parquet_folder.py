"""A folder with which another trainer trains on a task: ``train`` and ``test``, each as parquet and as JSON.

The parquet file holds the prompts, the JSON file what scores the answers to them (``ExportedTask``).
Questions of which no answer can be scored are left out, because some trainers stop at one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from harness.adapters.chat import expect_chat
from harness.adapters.conversation import Conversation
from harness.adapters.golds import scorable
from harness.adapters.grades import metrics, scored_reward
from harness.adapters.options import ExportOptions
from harness.adapters.out import new_out
from harness.adapters.task_file import ExportedTask, exported_task
from rewards.types import Grade
from runners.types import Request
from tasks.common.errors import DataError
from tasks.common.terminal import say
from tasks.linking.tokens import estimate
from tasks.spec import ScoringSpec
from tasks.task import Task
from tasks.types import Sample

TRAIN = "train"
SPLITS = (TRAIN, "test")
"""The names of the files: the task's training split, and the one that it is evaluated on."""
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
    """Its text. OPENS stands for the tag with which the model's chat template opens a thought."""


@dataclass(frozen=True)
class Written:
    """What was written. ``prompt_tokens``: a limit that every prompt keeps, by estimate."""

    folder: Path
    task: Task
    prompt_tokens: int


def write_folder(trainer: Trainer, options: ExportOptions) -> Written:
    """Write a new folder.

    Raises SpecError: no such task, the trainer cannot ask its prompts, or ``--out`` is no new folder;
    DataError: its data is missing; ModelError: the model is a folder whose chat template cannot be read.
    """
    with new_out(trainer.name, options.out) as folder:
        task = Task.named(options.task, options.overrides, options.trust)
        expect_chat(task.spec, trainer.name)
        splits = [ExportedTask(task, split) for split in (task.spec.dataset.train_split, options.split)]
        first = splits[0].samples[0]
        opens = _opened_thought(options.model, Request(first, task.messages(first)), trainer.script)
        longest = 0
        for name, exported in zip(SPLITS, splits, strict=True):
            asked = exported.samples[: options.limit or None]
            samples = scorable(exported, asked)
            rows = [
                _row(trainer, task, sample, {"index": index, "split": name, "id": sample.id})
                for index, sample in enumerate(samples)
            ]
            exported.write(folder / f"{name}.json")
            pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
            longest = max(longest, *map(_tokens, rows))
        (folder / trainer.script).write_text(
            trainer.code.replace("OPENS", json.dumps(opens)), encoding="utf-8"
        )
    return Written(Path(options.out).resolve(), task, math.ceil(longest * MARGIN / STEP) * STEP)


@dataclass(frozen=True)
class Question:
    """The question of a row, as answers to it are scored."""

    task: ExportedTask
    id: str

    @classmethod
    def of_row(cls, folder: Path, data_source: str, extra_info: Mapping[str, Any], gold: str) -> Self:
        """The question of a row of a folder's parquet files, of which these are columns.

        Raises DataError: the row is not of this folder, or its question has changed since.
        """
        if (split := extra_info.get("split")) not in SPLITS:
            raise DataError(f"extra_info.split is '{split}', not {' or '.join(SPLITS)}")
        exported = exported_task(str(folder / f"{split}.json"))
        if data_source != exported.task.name:
            raise DataError(f"{folder} scores {exported.task.name}, and a row is of '{data_source}'")
        if exported.sample(extra_info["id"]).gold[0] != gold:
            raise DataError(f"{folder}: question {extra_info['id']} has changed: export the task again")
        return cls(exported, extra_info["id"])

    def submit(self, text: str) -> Future[Grade]:
        """The coming grade of a text as an answer to it."""
        return self.task.submit(self.id, text)

    def conversation(self, turns: int) -> Conversation:
        """A conversation that asks it, with at most so many answers."""
        return Conversation(self.task, self.task.sample(self.id), turns)

    def reward(self, grade: Grade) -> float:
        """The reward of an answer. Raises RuntimeError: the answer is unscored."""
        return scored_reward(grade, self._scoring, self.task.is_training)

    def metrics(self, grade: Grade) -> dict[str, float | None]:
        """The verdicts on an answer."""
        return metrics(grade, self._scoring)

    @property
    def _scoring(self) -> ScoringSpec:
        return self.task.task.spec.scoring


def _row(trainer: Trainer, task: Task, sample: Sample, info: Mapping[str, Any]) -> Row:
    """A row of one parquet file. Raises DataError: a lone surrogate is in it, which no file can hold."""
    row = {
        "data_source": task.name,
        "prompt": list(task.messages(sample)),
        **trainer.columns(sample.gold[0]),
        "extra_info": info,
    }
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise DataError(f"{task.name}: the prompt of question {sample.id} is not valid Unicode") from None
    return row


def _opened_thought(model: str, request: Request, script: str) -> str:
    """The tag with which a model's chat template opens a thought at the end of a prompt; "" if there is none.

    Trainers hand on only what follows the prompt. The template is read if the model is a folder here;
    otherwise a line on stderr says what to look for. Raises ModelError: the template cannot be read.
    """
    if not Path(model).is_dir() or find_spec("transformers") is None:
        say(f"{model} is no folder here: if its chat template opens a thought, set opens in {script}")
        return ""
    from runners.decoding.tokens import encode, thought_tag
    from runners.weights.loading import load_tokenizer
    from runners.weights.source import resolve

    tokenizer = load_tokenizer(resolve(model, weights=False))
    return thought_tag(tokenizer, encode(tokenizer, [request])[0])


def _tokens(row: Row) -> int:
    """About the number of tokens of a row's prompt."""
    return sum(estimate(message["content"]) for message in row["prompt"])
