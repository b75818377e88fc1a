"""The stored runs in a terminal, one a row, the newest last."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from harness.render.terminal import NONE, columns, duration, number, percent, plain
from leaderboards.catalog import Catalog, CatalogRow
from leaderboards.types import Run, label
from tasks.common.home import home

FIRST = "harness eval --model nano --task pocket"
"""What to type where nothing is stored."""
COLOURS = {"finished": "", "running": "green", "unfinished": "yellow"}
DAY = 86400
WIDTH = 44
"""Characters of the column of ids."""


def render_catalog(catalog: Catalog) -> RenderableType:
    """A table of the runs, then their number and size."""
    if not catalog.rows:
        return plain(f"No run in {home()} matches. Try: harness runs, or {FIRST}")
    table = columns("run")
    table.columns[0].max_width = WIDTH
    for name in ("EX", "n", "age", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for row in catalog.rows:
        table.add_row(
            _run(row),
            percent(row.ex),
            number(row.n),
            age(row.age),
            size(row.bytes),
            Text(row.state, COLOURS[row.state]),
        )
    total = size(sum(row.bytes for row in catalog.rows))
    count = len(catalog.rows)
    return Group(table, Text(f"{count:,} run{'s' * (count != 1)}, {total}", "dim"))


def _run(row: CatalogRow) -> Text:
    run = row.run
    facts = [f"training of {label(run.parent)}" if run.kind == "train" else run.label, run.task]
    line = plain(_wrapped(run.id), "bold").append("\n").append_text(plain(" · ".join(facts), "not bold dim"))
    for tag in row.tags:
        line.append(f" · {tag}", "not bold cyan")
    return line


def _wrapped(run_id: str) -> str:
    """A long id in lines that end after a hyphen, so that no number is split."""
    if len(run_id) <= WIDTH:
        return run_id
    end = run_id.rfind("-", 0, WIDTH) + 1 or WIDTH
    return f"{run_id[:end]}\n{_wrapped(run_id[end:])}"


def age(seconds: float) -> str:
    """Seconds in at most five characters: 42s, 21m, 2.2h, 40d."""
    return duration(max(1.0, seconds)) if seconds < 2 * DAY else f"{seconds / DAY:.0f}d"


def size(count: int) -> str:
    """Bytes in at most six characters: 512 B, 4.1 kB, 183 kB, 2.0 GB."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if unit != "B" and value < 9.95 else f"{value:.0f} {unit}"


def peaks(run: Run) -> list[tuple[str, str]]:
    """The peak memory of the process, and of its GPUs if it used any, with their names."""
    used = [("memory", NONE if run.memory is None else size(run.memory))]
    return used + ([("GPU", size(run.gpu_memory))] if run.gpu_memory else [])
