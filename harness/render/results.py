"""What gold and answer return, side by side where the terminal is wide enough, else one above the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from harness.render.terminal import NONE, number, plain
from harness.results import Results, ResultTable
from tasks.common.terminal import one_line

CELL = 30
"""The most characters of a cell in a terminal."""
MARK = ">"
"""Stands before the first row that differs."""
GAP = 3
"""Characters between the two tables."""


def render_results(results: Results) -> RenderableType:
    """Both tables, and the reward under each preset; one line where there are no tables."""
    if results.unavailable:
        return plain(f"results cannot be shown: {one_line(results.unavailable)}", "yellow")
    values = "   ".join(f"{name} {number(value, 3)}" for name, value in results.rewards.items())
    return Group(_Tables(results), Text.assemble(("reward by preset  ", "dim"), values))


@dataclass(frozen=True, slots=True)
class _Tables:
    """The two tables in the width that the console has."""

    results: Results

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        where = f"instance {self.results.instance + 1}: " * bool(self.results.instance)
        named = ((f"{where}gold", self.results.gold), (f"{where}answer", self.results.answer))
        half = (options.max_width - GAP) // 2
        if all(_width(title, table) <= half for title, table in named):
            row = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
            row.add_row(*(_table(title, table, half) for title, table in named))
            yield row
        else:
            yield from (_table(title, table, options.max_width) for title, table in named)


@dataclass(frozen=True, slots=True)
class OneTable:
    """One table in the width that the console has."""

    title: str
    table: ResultTable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield _table(self.title, self.table, options.max_width)


def _width(title: str, table: ResultTable) -> int:
    """The characters that a table needs in a line."""
    return max(sum(_widths(table)) + len(MARK), cell_len(_title(title, table)), len(table.error))


def _widths(table: ResultTable) -> list[int]:
    """The characters of each column, with the two before it."""
    return [2 + min(CELL, max(map(cell_len, texts))) for texts in _columns(table)]


def _columns(table: ResultTable) -> Iterator[list[str]]:
    for index, name in enumerate(table.columns):
        yield [one_line(name), *(_text(row[index]) for row in table.rows)]


def _text(cell: str | None) -> str:
    return "NULL" if cell is None else one_line(cell)


def _title(title: str, table: ResultTable) -> str:
    if table.error:
        return title
    rows = f"{table.total_rows:,} row{'s' * (table.total_rows != 1)}"
    shown = f", {table.start + 1:,} to {table.start + len(table.rows):,} shown"
    return f"{title}: {rows}" + shown * (len(table.rows) < table.total_rows)


def _table(title: str, table: ResultTable, width: int) -> RenderableType:
    """A table of the columns that fit into the width; the others are counted."""
    head = Text(_title(title, table), "bold")
    if table.error:
        return Group(head, plain(one_line(table.error), "red"))
    columns = list(_columns(table))
    fitting = _fitting(_widths(table), width - len(MARK))
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    drawn.add_column("", width=len(MARK))
    for texts in columns[:fitting]:
        is_number = all(_is_number(text) or text == "NULL" for text in texts[1:])
        justify = "right" if is_number and table.rows else "left"
        drawn.add_column(_cell(texts[0], "bold"), justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for place, row in enumerate(table.rows, table.start):
        marked = place == table.differs
        cells = (_cell(_text(cell), "dim" if cell is None else "red" * marked) for cell in row[:fitting])
        drawn.add_row(Text(MARK * marked, "bold red"), *cells)
    hidden = table.total_columns - fitting
    more = [Text(f"{hidden:,} more column{'s' * (hidden != 1)}", "dim")] if hidden else []
    return Group(head, drawn, *more) if fitting else Group(head, Text(NONE), *more)


def _fitting(widths: list[int], width: int) -> int:
    """How many columns fit; at least one."""
    total = 0
    for count, column in enumerate(widths):
        total += column
        if total > width and count:
            return count
    return len(widths)


def _cell(text: str, style: str) -> Text:
    shown = plain(text, style)
    shown.truncate(CELL, overflow="ellipsis")
    return shown


def _is_number(text: str) -> bool:
    return text.lstrip("-")[:1].isdigit() and not text.endswith("'")
