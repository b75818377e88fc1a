"""A task that ``harness init`` has written, in a terminal: its files, the check, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from harness.generation.task_files import ENGINES
from harness.own.new_task import NewTask
from harness.own.questions import ENOUGH, listed
from harness.render.check import render_check
from harness.render.output import command
from harness.render.terminal import plain

SHOWN = 10
"""Failing golds that are printed; ``--json`` has all."""
_LONG = 2048
"""Tokens of a prompt from which on small models cannot read it."""


def render_new_task(made: NewTask) -> RenderableType:
    """The files, the check of the golds, and the next commands."""
    parts: list[RenderableType] = [plain(line) for line in _about(made)]
    if made.check:
        parts += ["", render_check(made.check)]
    parts += [plain(line, "yellow") for line in _golds(made)]
    return Group(*parts, "", Text("next", "bold"), *(plain(f"  {line}") for line in _next(made)))


def _about(made: NewTask) -> Iterator[str]:
    questions, names = made.questions, made.questions.columns
    yield f"{made.file}: {made.place}, {len(made.schema.tables)} tables, {made.columns} columns"
    if made.is_template:
        yield f"{questions.path}: a template for questions, to fill in"
    else:
        columns = ", ".join(
            f"{'SQL' if name == 'gold' else name} = {column}" for name, column in names.items()
        )
        yield f"{questions.path}: {questions.rows} questions ({columns})"
        yield f"  {_splits(made)}"
        yield from (f"  {note}" for note in questions.notes)
    if made.prompt_tokens > _LONG:
        yield f"  a prompt has up to {made.prompt_tokens:,} tokens (prompt.schema.max_tokens lowers it)"
    if made.place.variable:
        yield f"the password is not in the file: export {made.place.variable}=... (or a line of .env)"


def _splits(made: NewTask) -> str:
    if len(made.questions.splits) > 1:
        return "splits, as shares of the file: train 60 %, dev 10 %, test 30 %"
    return (
        f"all of them are the split test; from {ENOUGH} with SQL on they are divided into train, dev and test"
    )


def _golds(made: NewTask) -> Iterator[str]:
    for place, gold in made.failing[:SHOWN]:
        yield f"{place}: the SQL fails: {gold.detail or gold.reason}"
    if len(made.failing) > SHOWN:
        yield f"... and {len(made.failing) - SHOWN} more (--json names all)"
    if made.empty:
        yield f"{listed(made.empty)}: the SQL returns no rows, which proves little: any wrong filter does so"


def _next(made: NewTask) -> Iterator[str]:
    file = str(made.file)
    if made.check is None:
        yield f"fill in {made.questions.path}, then:"
        yield command("check", file)
    yield command("ask", "--model", "nano", "--task", file, "How many rows are there?")
    yield command("eval", "--model", "nano", "--task", file)
    if made.place.engine in ENGINES:
        yield command("generate", "--task", file, "--n", "500") + "   # questions to train on"
