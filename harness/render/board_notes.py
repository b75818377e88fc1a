"""The lines below a table of the leaderboard: training, gains, several answers, cost and warnings."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.render.runs import peaks
from harness.render.terminal import duration, percent, plain, points
from leaderboards import board
from leaderboards.gains import Gain
from leaderboards.types import Summary
from tasks.common.terminal import visible

LONGEST = 32
"""Characters in a line of a model's name."""


def notes(
    key: board.BoardGroup, rows: Sequence[board.BoardRow], ranked: Sequence[board.BoardRow]
) -> list[RenderableType]:
    """Lines below the table: training rows, figures of several answers, cost, and warnings.

    ``ranked``: all rows of the group, among which are the parents of ``rows``.
    """
    table = Table.grid(padding=(0, 2))
    table.add_column(max_width=LONGEST, overflow="fold")
    labels = [row.run.label for row in ranked]
    for row in rows:
        unusual = row.run.unusual if labels.count(row.run.label) > 1 else []
        name = plain(" · ".join([row.run.label, *unusual]), "dim")
        if row.run.training:
            stages = (f"{stage}: {_trained_on(data)}" for stage, data in row.run.training.items())
            table.add_row(name, plain(" → ".join(stages), "dim"))
        if trained := row.trained_in:
            used = [duration(trained.seconds), *(f"{name} {text}" for name, text in peaks(trained))]
            table.add_row(name, plain(f"trained in {', '.join(used)}", "dim"))
        if row.gain:
            table.add_row(name, _gain(row.gain, ranked))
        if row.summary["pass_at"]:
            table.add_row(name, _sampled(row))
        if count := row.summary.get("unanswered"):
            reasons = "over the model's context, or refused; they count as wrong"
            table.add_row(name, Text(f"{count:,} unanswered: {reasons}", style="yellow"))
        if counts := _counts(key, row.summary):
            table.add_row(name, Text(counts, style="yellow"))
        if row.summary["cost"]:
            table.add_row(name, Text(f"cost {row.summary['cost']:.2f} US dollars", style="dim"))
        for warning in row.warnings:
            table.add_row(plain(name.plain, "yellow"), plain(f"! {warning}", "yellow"))
    empty = max((row.summary["empty_gold"] or 0.0 for row in rows), default=0.0)
    if empty:
        note = f"{percent(empty)} % of the answers that ran have a gold without rows"
        table.add_row("", Text("up to " * (len(rows) > 1) + note, style="dim"))
    return [Padding(table, (1, 0, 0, 0))] if table.row_count else []


def _gain(gain: Gain, rows: Sequence[board.BoardRow]) -> Text:
    parent = next(row.run.label for row in rows if row.run.id == gain.parent)
    difference = points(gain.test.figures.difference)
    text = visible(f" over {parent}: {gain.test.verdict.text}")
    return Text("gain ", "dim").append_text(difference).append(text)


def _counts(key: board.BoardGroup, figures: Summary) -> str:
    """How many answers each other mode scored, for modes that scored not as many as the headline mode."""
    unscored = figures.get("modes_unscored", {})
    whole = figures["completions"]
    return "   ".join(
        f"{mode}: {whole - count:,} of {whole:,} answers scored, {count:,} unscored"
        for mode, count in unscored.items()
        if mode != key.metric and count != figures["unscored"]
    )


def _sampled(row: board.BoardRow) -> Text:
    figures = row.summary
    named = (
        ("pass@", figures["pass_at"]),
        ("best of ", figures["best_of"]),
        ("majority of ", figures["majority"]),
    )
    lines = [
        "   ".join(f"{name}{k} {percent(value)}" for k, value in values.items()) for name, values in named
    ]
    if (temperature := row.run.sampling.get("temperature")) is not None:
        lines[0] += f"   (at temperature {temperature})"
    return Text("\n".join(lines), style="dim")


def _trained_on(stage: object) -> str:
    """The number and type of the rows that a stage was trained on."""
    if not isinstance(stage, dict):
        return str(stage)
    rows, seen = stage.get("rows"), stage.get("seen")
    count = f"{rows:,}" if isinstance(rows, int) else ""
    if isinstance(seen, int) and seen != rows:
        count = f"{seen:,} of {count}"
    return " ".join(filter(None, [count, str(stage.get("sees", ""))]))
