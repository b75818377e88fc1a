"""Write a task for a database that exists: a spec, and a file of questions where there is none yet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from harness.check import BrokenGold, SplitCheck, TaskCheck, check_task, prompt_tokens
from harness.own.place import Place, expect_plain, schema_tokens, spelled
from harness.own.questions import Questions, read_questions
from tasks.common import files
from tasks.common.errors import DataError, SpecError
from tasks.common.terminal import say
from tasks.databases.sandbox.pool import Sandbox
from tasks.databases.schema import describe
from tasks.task import Task
from tasks.types import Database, Sample, Schema

TEMPLATE = Path(__file__).with_name("task.yaml.jinja")
QUESTIONS = """\
id,question,sql,evidence
1,"Replace these three rows by yours: a question in the words of your users",,what a word means here
2,"The column sql takes the query that returns the right rows. Rows without SQL do not count",,
3,"Ten questions show whether a model can be used at all; a hundred or more tell two models apart",,
"""
"""The template of a file of questions. Its rows have no SQL, so that none of them counts."""


@dataclass(frozen=True, slots=True)
class NewTask:
    """What was written. ``check`` is None as long as no question has SQL."""

    file: Path
    place: Place
    schema: Schema
    questions: Questions
    is_template: bool
    prompt_tokens: int
    """The longest prompt, or that of a short question; 0: not counted."""
    check: TaskCheck | None

    @property
    def columns(self) -> int:
        """Columns of all tables."""
        return sum(len(table.columns) for table in self.schema.tables)

    @property
    def failing(self) -> list[tuple[str, BrokenGold]]:
        """The place in the file of each gold that fails, and the failure."""
        return [(self._place(split, gold.id), gold) for split in self._splits for gold in split.broken]

    @property
    def empty(self) -> list[str]:
        """The places in the file of golds that return no rows."""
        return [self._place(split, id) for split in self._splits for id in split.empty_ids]

    @property
    def _splits(self) -> Sequence[SplitCheck]:
        return self.check.splits if self.check else ()

    def _place(self, split: SplitCheck, id: str) -> str:
        return self.questions.places[split.split].get(id, f"question {id}")

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        questions = self.questions
        return {
            "task": str(self.file),
            "database": {
                "place": str(self.place),
                "engine": self.place.engine,
                "password_variable": self.place.variable,
                "tables": len(self.schema.tables),
                "columns": self.columns,
            },
            "questions": {
                "file": str(questions.path),
                "template": self.is_template,
                "columns": dict(questions.columns),
                "rows": questions.rows,
                "with_sql": questions.with_sql,
                "splits": dict(questions.splits),
                "notes": list(questions.notes),
            },
            "prompt_tokens": self.prompt_tokens,
            "failing": [
                {"place": place, "reason": gold.reason, "detail": gold.detail} for place, gold in self.failing
            ],
            "empty": self.empty,
            "check": self.check.as_dict() if self.check else None,
        }


def new_task(place: Place, examples: Path | None, folder: Path, workers: int) -> NewTask:
    """Write ``NAME.yaml`` into the folder and check it; without ``examples`` also ``NAME-questions.csv``.

    No file is overwritten. Raises SpecError: a file of this name exists; DataError: the database or the
    examples cannot be read, or the folder cannot be written.
    """
    file = folder / f"{place.name}.yaml"
    template = folder / f"{place.name}-questions.csv"
    _expect_new(file, "remove it, or choose another --name")
    if examples is None:
        _expect_new(template, f"to use it: --examples {template}")
    for path, pattern in ((file, False), (examples or template, True)):
        expect_plain(path, pattern)
    database = place.database()
    schema = describe(database)
    if place.url:
        _expect_reader(database)
    if not schema.tables:
        raise DataError(f"{place}: it has no table that can be read")
    _make_folder(folder)
    if examples is None:
        _create(
            template, "\ufeff" + QUESTIONS
        )  # a byte order mark, without which Excel misreads other letters
    try:
        questions = read_questions(examples or template, (place.name, place.path.stem if place.path else ""))
        _create(file, _spec(place, questions, file, schema_tokens(schema)))
    except BaseException:
        if examples is None:
            template.unlink()
        raise
    say(f"{file}: written")
    check: TaskCheck | None = None
    if questions.with_sql:
        check = check_task(str(file), (), (), None, workers)
        longest = max(split.longest_prompt for split in check.splits)
    else:
        longest = prompt_tokens(Task.named(str(file)), [Sample("", "?", place.name, ())])
    return NewTask(file, place, schema, questions, examples is None, longest, check)


def _expect_reader(database: Database) -> None:
    """Raise DataError where the role may do more than read, or no query can run for another cause."""
    with Sandbox(1) as sandbox:
        [outcome] = sandbox.run([(database, 0, "SELECT 1")])
    if not outcome.ok:
        raise DataError(outcome.message)


def _spec(place: Place, questions: Questions, file: Path, budget: int) -> str:
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    names = ("question", "gold", "id", "evidence", "difficulty")
    fields = {name: questions.columns[name] for name in names if name in questions.columns}
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        place=place,
        file=file.name,
        name=place.name,
        questions=spelled(questions.path, file.parent),
        fields={**fields, "database": ""},
        splits=questions.splits,
        divided=len(questions.splits) > 1,
        where=questions.where,
        databases=place.section(file.parent),
        variable=place.variable,
        budget=budget,
        quoted=_quoted,
    )
    return text + "\n"


def _quoted(value: str | Mapping[str, str]) -> str:
    """A value as YAML writes it in one line, which is JSON with all that cannot be printed escaped."""
    text = json.dumps(value if isinstance(value, str) else dict(value), ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)


def _expect_new(path: Path, fix: str) -> None:
    if path.exists() or path.is_symlink():
        raise SpecError(f"{path} exists: {fix}")


def _make_folder(folder: Path) -> None:
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _create(path: Path, text: str) -> None:
    """Write a new file. Raises DataError: it exists by now, or cannot be written."""
    with _writing(path), path.open("xb") as file:
        file.write(text.encode())


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        with files.writing(path):
            yield
    except DataError as error:
        raise DataError(f"{error}: choose another folder with --out") from None
