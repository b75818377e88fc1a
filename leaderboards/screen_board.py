"""The leaderboard in a terminal: one table for each group of comparable runs."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from leaderboards import board
from leaderboards.terminal import NONE, duration, interval, number, percent, plain, reason
from leaderboards.types import Run, Slice, label

LEGEND = (
    "EX: execution accuracy in %, with its 95 % Wilson interval · runs: answers that execute, in % · "
    "n: questions scored · unscored: our own failures, left out of every mean"
)
EMPTY = "Nothing has been measured yet. Try: harness eval --model nano --task pocket"
ABREAST = 5
"""Runs shown side by side in the table of reasons."""


def screen(what: board.Board) -> RenderableType:
    """All groups, then the legend."""
    if not what.groups:
        return Text(EMPTY)
    lines: list[RenderableType] = []
    for key, rows in what.groups.items():
        lines += [_title(key), _table(key, rows), *_notes(rows)]
        if what.reasons:
            lines += [_reasons(rows[i : i + ABREAST]) for i in range(0, len(rows), ABREAST)]
        lines.append(Text())
    if what.hidden:
        lines.append(Text(f"{what.hidden} older runs, repeated since, are not shown", style="dim"))
    return Group(*lines, Text(LEGEND, style="dim"))


def _title(key: board.Group) -> Text:
    title = plain(f"{key.task} · {key.split} · {key.metric}", "bold")
    return title.append(f"   task {key.task_digest[:8]} · scorer {key.scorer_version}", style="not bold dim")


def _table(key: board.Group, rows: Sequence[board.Row]) -> Table:
    parts = sorted({name for row in rows for name in row.summary["parts"]})
    modes = sorted({name for row in rows for name in row.summary["modes"]} - {key.metric})
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, header_style="", pad_edge=False)
    table.add_column("model", ratio=1, no_wrap=True, overflow="ellipsis", min_width=12)
    for name in ("EX", *parts, *modes, "runs", "reward", "n", "unscored", "tokens", "time"):
        table.add_column(name, justify="right", no_wrap=True, header_style="bold" if name == "EX" else "")
    for row in rows:
        found = row.summary
        table.add_row(
            _model(row.run),
            _slice(found, "bold"),
            *(_slice(found["parts"].get(name)) for name in parts),
            *(percent(found["modes"].get(name)) for name in modes),
            percent(found["executable"]),
            number(found["reward"], 3),
            number(found["n"]),
            Text(number(found["unscored"]), style="yellow" if found["unscored"] else "dim"),
            number(found["tokens"]),
            duration(row.run.seconds),
        )
    return table


def _model(run: Run) -> Text:
    text = plain(run.label, "bold")
    origin = f"{run.method or 'base'} of {label(run.parent)}" if run.parent else run.method
    return text.append("\n").append_text(plain(origin, "not bold dim"))


def _slice(found: Slice | None, style: str = "") -> Text:
    if found is None:
        return Text(NONE)
    return Text.assemble((percent(found["ex"]), style), "\n", (interval(found["low"], found["high"]), "dim"))


def _notes(rows: Sequence[board.Row]) -> list[RenderableType]:
    """What each model was given, pass@k, and warnings."""
    table = Table.grid(padding=(0, 2))
    for row in rows:
        name = plain(row.run.label, "dim")
        if row.run.training:
            stages = (f"{stage}: {_given(given)}" for stage, given in row.run.training.items())
            table.add_row(name, plain(" → ".join(stages), "dim"))
        if row.summary["pass_at"]:
            passes = (f"pass@{k} {percent(value)}" for k, value in row.summary["pass_at"].items())
            table.add_row(name, Text("   ".join(passes), style="dim"))
        for warning in row.warnings:
            table.add_row(plain(row.run.label, "yellow"), Text(f"! {warning}", style="yellow"))
    empty = max((row.summary["empty_gold"] or 0.0 for row in rows), default=0.0)
    if empty:
        table.add_row("", Text(f"{percent(empty)} % of the golds return no rows", style="dim"))
    return [Padding(table, (1, 0, 0, 0))] if table.row_count else []


def _given(given: object) -> str:
    if not isinstance(given, dict):
        return str(given)
    rows = given.get("rows")
    return " ".join(filter(None, [f"{rows:,}" if isinstance(rows, int) else "", str(given.get("sees", ""))]))


def _reasons(rows: Sequence[board.Row]) -> RenderableType:
    """How often each reason was given, a column a run."""
    totals: dict[str, int] = {}
    for row in rows:
        for name, count in row.summary["reasons"].items():
            totals[name] = totals.get(name, 0) + count
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, header_style="", pad_edge=False)
    table.add_column("reason")
    for row in rows:
        table.add_column(plain(row.run.label), justify="right", no_wrap=True, overflow="ellipsis")
    for name in sorted(totals, key=lambda name: (name != "correct", -totals[name])):
        table.add_row(reason(name), *(_share(row, name) for row in rows))
    return Padding(table, (1, 0, 0, 0))


def _share(row: board.Row, name: str) -> Text:
    count = row.summary["reasons"].get(name, 0)
    share = percent(count / row.summary["completions"]) if row.summary["completions"] else ""
    return Text(f"{count:,}  {share:>5} %", style="" if count else "dim")
