"""Progress on stderr: the items done, the rate, the time left and the running score.

A terminal shows a bar, a log file a line every LINE_SECONDS.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from harness.render.terminal import SafeConsole
from leaderboards.types import Record
from tasks.common.terminal import say

LINE_SECONDS = 30.0
"""Time between two lines in a log file."""


NARROW = 100
"""Columns of a terminal up to which the bar is short."""


class Report(Protocol):
    """Called with the number of further items that are done, and a line about the progress."""

    def __call__(self, done: int, note: str = "") -> None: ...


@contextmanager
def bar(title: str, total: int, before: int = 0) -> Iterator[Report]:
    """Show progress while the block runs; ``before`` items were done earlier."""
    console = SafeConsole(stderr=True)
    if not console.is_terminal:
        yield lines(title, total, before, say)
        return
    fixed = Column(no_wrap=True)
    columns = (
        TextColumn("{task.description}", markup=False, table_column=fixed),
        BarColumn(bar_width=24 if console.width > NARROW else 8, table_column=fixed),
        MofNCompleteColumn(table_column=fixed),
        TextColumn("{task.fields[rate]}", markup=False, table_column=fixed),
        TimeRemainingColumn(compact=True, table_column=fixed),
        TextColumn("{task.fields[note]}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
    )
    with Progress(*columns, console=console, expand=True) as progress:
        task = progress.add_task(title, total=total, completed=before, rate="", note="")

        def report(done: int, note: str = "") -> None:
            progress.advance(task, done)
            elapsed = progress.tasks[0].elapsed or 0
            rate = (progress.tasks[0].completed - before) / elapsed if elapsed else 0
            progress.update(task, rate=f"{rate:.1f}/s", note=note)

        yield report


def lines(
    title: str,
    total: int,
    before: int,
    write: Callable[[str], None],
    now: Callable[[], float] = time.monotonic,
) -> Report:
    """A report that writes a line every LINE_SECONDS; ``total`` 0 means unknown."""
    began = written = now()
    count = 0

    def report(done: int, note: str = "") -> None:
        nonlocal count, written
        count += done
        if now() - written < LINE_SECONDS:
            return
        written = now()
        rate = count / (written - began)
        left = f", {(total - before - count) / rate:,.0f} s left" if total and rate else ""
        of = f"/{total}" if total else ""
        write(f"{title}: {before + count}{of}, {rate:.1f}/s{left}{', ' if note else ''}{note}")

    return report


class Tally:
    """The running score, for the progress bar."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.right = 0.0
        self.scored = self.unscored = 0
        self.add(list(records))

    def add(self, records: Sequence[Record]) -> str:
        """Count further records; the score so far."""
        values = [record.metric for record in records if record.metric is not None]
        self.right += sum(values)
        self.scored += len(values)
        self.unscored += len(records) - len(values)
        score = f"EX {self.right / self.scored:.1%}" if self.scored else "EX -"
        return score + (f", {self.unscored} unscored" if self.unscored else "")
