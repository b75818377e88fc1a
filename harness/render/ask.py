"""A model's answer in a terminal: its SQL, the rows, and what it was shown of the schema."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from harness.own.ask import Answer
from harness.render.results import OneTable
from harness.render.terminal import plain
from tasks.common.terminal import one_line

NAMES = 8
"""Tables that are named; the others are counted."""


def render_answer(answer: Answer, rows: int, with_schema: bool) -> RenderableType:
    """The SQL, at most ``rows`` rows in the width of the terminal, and a line about the prompt."""
    parts: list[RenderableType] = [plain(answer.sql, "bold"), ""] if answer.sql else []
    if not answer.problem:
        parts += [OneTable("result", answer.table(rows)), ""]
        if len(answer.outcome.rows) > rows:
            parts.append(Text(f"--rows {len(answer.outcome.rows)} prints all rows", "dim"))
    parts.append(plain(_shown(answer), "dim"))
    if with_schema:
        parts.append(plain(answer.schema_text))
    return Group(*parts)


def _shown(answer: Answer) -> str:
    """What the prompt showed."""
    tables = answer.schema.tables
    columns = sum(len(table.columns) for table in tables)
    names = ", ".join(one_line(table.name) for table in tables[:NAMES])
    more = f" and {len(tables) - NAMES} more" if len(tables) > NAMES else ""
    tokens = f"; {answer.completion.prompt_tokens:,} tokens" if answer.completion.prompt_tokens else ""
    return f"the prompt showed {len(tables)} tables, {columns} columns: {names}{more}{tokens}"
