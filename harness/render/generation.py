"""The result of ``harness generate`` in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from harness.generation.generate import Generated
from harness.render.output import command
from harness.render.terminal import plain
from leaderboards.summary import level

CAUSES = 4
"""Causes printed for which pairs were left out; ``--json`` has all."""


def render_generated(made: Generated) -> RenderableType:
    """The counts, then the commands to type next."""
    table = Table(title=plain(f"{made.task}: {made.folder}"), title_justify="left", box=None, padding=(0, 2))
    table.add_column("")
    table.add_column("")
    pairs = sum(count for name, count in made.splits.items() if name != "test")
    table.add_row("pairs", f"{pairs:,} of {made.wanted:,}")
    table.add_row("splits", _counts(made.splits))
    table.add_row(
        "difficulty", _counts({name: made.difficulty[name] for name in sorted(made.difficulty, key=level)})
    )
    if len(made.databases) > 1:
        table.add_row("databases", str(len(made.databases)))
    table.add_row("left out", _counts(dict(list(made.refused.items())[:CAUSES])) or "none")
    if made.reworded:
        table.add_row("reworded", f"{made.reworded:,}")
    spec = str(made.folder / "task.yaml")
    lines = [
        command("check", spec),
        command("train", "--task", spec, "--method", "sft", "--model", "nano", "--out", "runs/generated"),
    ]
    notes = (
        [f"{made.wanted - pairs:,} fewer than asked for: the databases have no more"]
        if pairs < made.wanted
        else []
    )
    return Group(table, *map(plain, ["", *notes, *lines]))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
