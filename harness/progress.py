"""Progress on stderr: what is done, how fast, and the running score."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Report(Protocol):
    """Told how many more items are done, and one line on how it goes."""

    def __call__(self, done: int, note: str = "") -> None: ...


@contextmanager
def bar(title: str, total: int, before: int = 0) -> Iterator[Report]:
    """A progress bar that lives as long as the block; ``before`` items were done earlier."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total, completed=before, rate="", note="")

        def report(done: int, note: str = "") -> None:
            progress.advance(task, done)
            elapsed = progress.tasks[0].elapsed or 0
            rate = (progress.tasks[0].completed - before) / elapsed if elapsed else 0
            progress.update(task, rate=f"{rate:.1f}/s", note=note)

        yield report
