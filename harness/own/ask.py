"""Ask a model one question at a time: the prompt of an evaluation, the same sandbox, and the rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any, Self

from harness.own.place import Place, schema_tokens
from harness.result_tables import cell
from harness.results import ResultTable
from harness.spec import EvalSpec
from rewards.extract import extract
from runners.open import BASELINES, open_runner
from runners.types import Completion, Request, Runner, Sampling
from tasks.common.errors import ModelError, SpecError, nearest
from tasks.common.parse import parse
from tasks.common.terminal import one_line
from tasks.databases.sandbox.pool import Sandbox
from tasks.databases.schema import describe
from tasks.databases.sql_text import MAX_CHARACTERS
from tasks.databases.state import stamped
from tasks.prompts import render_schema
from tasks.spec import TaskSpec
from tasks.task import Task
from tasks.types import Cell, Outcome, Sample, Schema, Status

ROWS = 20
"""Rows that are printed by default."""
ANSWERED = ("stop", "length")
"""How an answer of the model ends."""
_REFUSED = {
    Status.FORBIDDEN_STATEMENT: "not run: only a query that reads is",
    Status.MANY_STATEMENTS: "not run: only a single query is",
    Status.PRIVATE_DATA: "not run: it reads what the task marks as private",
    Status.TIMEOUT: "stopped (scoring.seconds)",
    Status.TOO_MANY_ROWS: "refused, not cut (scoring.rows)",
    Status.MEMORY: "refused (scoring.bytes)",
    Status.INFRASTRUCTURE: "not run: the database cannot be read",
}
"""Status of a query -> what has become of it. Of other failures the engine's message says enough."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, what its query returned, and the schema that the prompt showed."""

    question: str
    completion: Completion
    sql: str
    outcome: Outcome
    schema: Schema
    schema_text: str
    """The schema as the prompt has it."""

    @property
    def problem(self) -> str:
        """Why there are no rows, in one line; "" if there are."""
        completion, outcome = self.completion, self.outcome
        if completion.finish not in ANSWERED:
            return one_line(f"no answer: {completion.error}")
        if not self.sql:
            return one_line(f"no SQL in the answer: {completion.text.strip()[:200] or 'it is empty'}")
        if outcome.ok:
            return ""
        return one_line(f"{_REFUSED.get(outcome.status, outcome.status.value)}: {outcome.message}")

    def table(self, rows: int) -> ResultTable:
        """The first rows, as texts."""
        outcome = self.outcome
        shown = tuple(tuple(cell(value) for value in row) for row in outcome.rows[:rows])
        return ResultTable(outcome.columns, shown, 0, len(outcome.rows), len(outcome.columns))

    def as_dict(self, rows: int = ROWS) -> dict[str, Any]:
        """For ``--json``, with the first rows."""
        outcome, completion = self.outcome, self.completion
        return {
            "question": self.question,
            "answer": completion.text,
            "sql": self.sql,
            "status": outcome.status.value,
            "problem": self.problem,
            "columns": list(outcome.columns),
            "rows": [[_plain(value) for value in row] for row in outcome.rows[:rows]],
            "total_rows": len(outcome.rows),
            "truncated": len(outcome.rows) > rows,
            "prompt_tokens": completion.prompt_tokens,
            "tokens": completion.tokens,
            "schema": {table.name: [column.name for column in table.columns] for table in self.schema.tables},
            "schema_text": self.schema_text,
        }


def _plain(value: Cell) -> int | float | str | None:
    """A cell as JSON has it: numbers, texts and null; all else as it is printed."""
    if value is None or isinstance(value, int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return cell(value)


class Asker:
    """A model and a database, open until ``close``. Use as a context manager.

    Raises SpecError: the model only answers questions of a dataset; ModelError, MissingExtra.
    """

    def __init__(self, task: Task, target: Sample, spec: EvalSpec) -> None:
        if spec.model in BASELINES or spec.model.startswith("replay:"):
            raise SpecError(f"--model {spec.model} answers questions of a dataset only: name a model")
        self._task = task
        self._target = target
        spec = spec.of_task(task.spec)
        answer = task.spec.answer
        self._sampling = Sampling(
            max_new_tokens=spec.max_new_tokens or answer.max_new_tokens, stop=answer.stop, seed=spec.seed
        )
        task.schema(target)  # a database that cannot be read is reported before a model is loaded
        with ExitStack() as stack:
            self._runner: Runner = stack.enter_context(closing(open_runner(spec.model, spec.runner)))
            self._sandbox = stack.enter_context(Sandbox(1, task.spec.scoring.limits()))
            self._opened = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def ask(self, question: str, evidence: str = "") -> Answer:
        """Ask one question and run the query of the answer."""
        sample = replace(self._target, question=question, evidence=evidence)
        schema = self._task.schema(sample)
        request = Request(sample, self._task.messages(sample))
        completion = next((drawn[0] for _, drawn in self._runner.generate([request], self._sampling)), None)
        if completion is None:
            raise ModelError("the model gave no answer")
        sql = extract(completion.text)[: MAX_CHARACTERS + 1] if completion.finish in ANSWERED else ""
        outcome = Outcome(Status.NO_SQL)
        if sql:
            database = stamped(self._task.prompt_database(sample))
            [outcome] = self._sandbox.run([(database, 0, sql)])
        shown = render_schema(self._task.spec.prompt.schema_, schema)
        return Answer(question, completion, sql, outcome, schema, shown)


def task_of_place(place: Place, overrides: Sequence[str]) -> Task:
    """A task without questions for a database, with the prompt and the limits that a spec has by default."""
    data = {
        "name": place.name,
        "dataset": {"path": "questions.csv", "splits": {"test": "test"}, "fields": {"database": ""}},
        "databases": dict(place.section()),
        "prompt": {"schema": {"max_tokens": schema_tokens(describe(place.database()))}},
    }
    return Task(parse(TaskSpec, data, overrides, where=str(place)))


def target(task: Task, database: str) -> Sample:
    """A sample on the database of a task with this name; "": its only one. It has no question and no gold.

    Raises SpecError: there are several, or none with this name; DataError.
    """
    fields = task.spec.dataset.fields
    if not fields.database and not fields.ddl:
        known = {task.name: Sample("ask", "", task.name, ())}
    else:
        known = {sample.database: sample for sample in reversed(task.samples())}
    name = database or next(iter(known))
    if name not in known or (not database and len(known) > 1):
        which = f"no database '{database}'" if database else f"{task.name} has {len(known)} databases"
        raise SpecError(f"--database: {which}: {nearest(database, known)}")
    return replace(known[name], id="ask", question="", gold=(), evidence="")
