"""Format numbers and untrusted text for a terminal. None is shown as a dash, never as a zero."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tasks.common.terminal import visible

NONE = "-"
UNLIMITED = 10_000
"""A width in which everything fits."""
COLOURS = {"correct": "green", "gold_failed": "yellow", "infrastructure": "yellow"}
"""Colours of reason codes: right answers and our own failures; all others are the model's mistakes."""


def plain(text: str, style: str = "") -> Text:
    """Text that a model or dataset wrote: no markup, no escape sequences."""
    return Text(visible(text), style=style)


class SafeConsole(Console):
    """A console that treats strings as text, not as markup, and prints no control characters of a text."""

    def __init__(self, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does, with the texts made visible."""
        for segment in super().render(renderable, options):
            harmless = segment.control or segment.text == "\n" or segment.text.isprintable()
            yield segment if harmless else segment._replace(text=visible(segment.text))


class FirstThatFits:
    """Draws the first of several renderables that is not wider than the console; else the last one."""

    def __init__(self, *choices: RenderableType) -> None:
        self._choices = choices

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unlimited = options.update(max_width=UNLIMITED)
        for choice in self._choices:
            needed = Measurement.get(console, unlimited, choice).minimum
            if needed <= options.max_width or choice is self._choices[-1]:
                yield choice
                return


def percent(value: float | None) -> str:
    """A share in [0, 1] as per cent, without the sign: 0.7421 -> 74.2."""
    return NONE if value is None else f"{100 * value:.1f}"


def points(value: float | None) -> Text:
    """A difference of two shares in percentage points, coloured by its sign."""
    if value is None:
        return Text(NONE)
    colour = "green" if value > 0 else "red" if value < 0 else "dim"
    return Text(f"{100 * value:+.1f}", style=colour)


def interval(low: float | None, high: float | None) -> str:
    """The bounds of an interval of shares in [0, 1], in per cent; "" if one is None."""
    return "" if low is None or high is None else f"{100 * low:.1f}-{100 * high:.1f}"


def number(value: float | None, digits: int = 0) -> str:
    """A number with commas between thousands."""
    return NONE if value is None else f"{value:,.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds in at most five characters: 0.02s, 42s, 21m, 2.2h."""
    if seconds < 9.95:
        return f"{seconds:.2g}s"
    if seconds < 99.5:
        return f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}m" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f}h"


def p_value(p: float) -> str:
    """A p-value, never shown as zero."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def reason(name: str) -> Text:
    """A reason code in its colour."""
    return plain(name, COLOURS.get(name, "red"))


def columns(first: str) -> Table:
    """An empty table with two spaces between columns; only its first column, of names, wraps."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, header_style="", pad_edge=False)
    table.add_column(first, overflow="fold", min_width=9, max_width=32)
    return table


def unbroken(table: Table) -> Table:
    """The table with every column but the first as wide as its longest line, which ``no_wrap`` would cut."""
    for column in table.columns[1:]:
        texts = (str(cell) for cell in (column.header, *column.cells))
        column.min_width = max(cell_len(line) for text in texts for line in text.split("\n"))
    return table
