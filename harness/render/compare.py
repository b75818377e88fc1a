"""A comparison in a terminal: totals, slices, and some of the questions that changed."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from harness.render.terminal import columns, number, p_value, percent, plain, points, reason
from leaderboards.compare import Comparison, Flip, PairedFigures
from leaderboards.identity import listed
from tasks.common.terminal import visible

BAR = 10
"""Characters on either side of the middle of a bar; all of them show a difference of WIDE."""
WIDE = 0.25
"""The difference, as a share, that fills one side of a bar; a longer one is cut."""


def render_comparison(comparison: Comparison) -> RenderableType:
    """The totals, the slices, and some questions that only one run got right."""
    title = plain(f"{comparison.b.task} · {comparison.b.split} · {comparison.b.metric}", "bold")
    tables: list[RenderableType] = [_slices(comparison)] if comparison.slices else []
    return Group(title, _head(comparison), Text(), _totals(comparison), *tables, *_flips(comparison))


def _head(comparison: Comparison) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, run, ex in (("A", comparison.a, comparison.all.ex_a), ("B", comparison.b, comparison.all.ex_b)):
        table.add_row(Text(name, "bold"), plain(run.label, "bold"), f"{percent(ex)} %", plain(run.id, "dim"))
    return table


def _totals(comparison: Comparison) -> Table:
    totals = comparison.all
    table = Table.grid(padding=(0, 2))
    difference = points(totals.difference).append(" points")
    if comparison.interval:
        low, high = (points(end).plain for end in comparison.interval)
        difference.append(f"   95 % bootstrap interval {low} … {high}", style="default")
    table.add_row(Text("B - A", "bold"), difference)
    counts = Text.assemble(
        (f"{totals.wins:,} won by B", "green"),
        " · ",
        (f"{totals.losses:,} by A", "red"),
        f" · {totals.ties:,} tie{'s' * (totals.ties != 1)}",
    )
    table.add_row("", counts.append(f"   McNemar {p_value(totals.p)}"))
    left = f", {comparison.left_out:,} left out (in one run only, or unscored)" if comparison.left_out else ""
    table.add_row("", Text(f"{totals.n:,} questions in both{left}", "dim"))
    if comparison.differ:
        table.add_row("", Text(f"besides the model they differ in {listed(comparison.differ)}", "yellow"))
    return table


def _slices(comparison: Comparison) -> Padding:
    table = columns("")
    for name in ("n", "A", "B", "B - A", "won", "lost", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", width=2 * BAR + 1, no_wrap=True)
    for index, (field, named) in enumerate(comparison.slices.items()):
        if index:
            table.add_section()
        table.add_row(Text(field, "bold"))
        for name, figures in named.items():
            table.add_row(*_slice(name, figures))
    return Padding(table, (1, 0, 0, 0))


def _slice(name: str, figures: PairedFigures) -> tuple[RenderableType, ...]:
    return (
        plain(f"  {name}"),
        number(figures.n),
        percent(figures.ex_a),
        percent(figures.ex_b),
        points(figures.difference),
        str(figures.wins),
        str(figures.losses),
        p_value(figures.p).removeprefix("p = ").removeprefix("p "),
        _bar(figures.difference or 0.0),
    )


def _bar(difference: float) -> Text:
    """A bar to the right of the middle where B is better, to the left where A is."""
    filled = min(round(abs(difference) / WIDE * BAR), BAR)
    left, right = (filled, 0) if difference < 0 else (0, filled)
    return Text.assemble(
        " " * (BAR - left), ("━" * left, "red"), ("│", "dim"), ("━" * right, "green"), " " * (BAR - right)
    )


def _flips(comparison: Comparison) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for winner, loser, count in (("B", "A", comparison.all.wins), ("A", "B", comparison.all.losses)):
        shown = [flip for flip in comparison.flips if flip.winner == winner.lower()]
        if shown:
            title = f"{winner} better than {loser}: {len(shown)} of {count:,}"
            lines += [Text(), Rule(title, align="left", style="dim")]
            lines += [Padding(_flip(flip), (0, 0, 1, 0)) for flip in shown]
    return lines


def _flip(flip: Flip) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row(
        Text("?", "bold"), plain(flip.question, "bold").append(visible(f"  {flip.sample_id}"), "not bold dim")
    )
    table.add_row(Text("gold", "dim"), plain(flip.gold, "dim"))
    width = max(len(flip.reason_a), len(flip.reason_b)) + 2
    for name, why, sql in (("A", flip.reason_a, flip.sql_a), ("B", flip.reason_b, flip.sql_b)):
        verdict = reason(why).append(" " * (width - len(why)))
        table.add_row(Text(name, "bold"), verdict.append_text(plain(sql, "default")))
    return table
