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
"""Characters on either side of the middle of a bar; they stand for WIDE."""
WIDE = 0.25
"""The difference, as a share, that fills one side of a bar; a longer one is cut."""


def render_comparison(what: Comparison) -> RenderableType:
    """The whole comparison."""
    title = plain(f"{what.b.task} · {what.b.split} · {what.b.metric}", "bold")
    tables: list[RenderableType] = [_slices(what)] if what.slices else []
    return Group(title, _head(what), Text(), _totals(what), *tables, *_flips(what))


def _head(what: Comparison) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, run, ex in (("A", what.a, what.all.ex_a), ("B", what.b, what.all.ex_b)):
        table.add_row(Text(name, "bold"), plain(run.label, "bold"), f"{percent(ex)} %", plain(run.id, "dim"))
    return table


def _totals(what: Comparison) -> Table:
    one = what.all
    table = Table.grid(padding=(0, 2))
    difference = points(one.difference).append(" points")
    if what.interval:
        low, high = (points(end).plain for end in what.interval)
        difference.append(f"   95 % bootstrap interval {low} … {high}", style="default")
    table.add_row(Text("B - A", "bold"), difference)
    counts = Text.assemble(
        (f"{one.wins:,} won by B", "green"), " · ", (f"{one.losses:,} by A", "red"), f" · {one.ties:,} ties"
    )
    table.add_row("", counts.append(f"   McNemar {p_value(one.p)}"))
    left = f", {what.left_out:,} left out (in one run only, or unscored)" if what.left_out else ""
    table.add_row("", Text(f"{one.n:,} questions in both{left}", "dim"))
    if what.differ:
        table.add_row("", Text(f"beside the model they differ in {listed(what.differ)}", "yellow"))
    return table


def _slices(what: Comparison) -> Padding:
    table = columns("")
    for name in ("n", "A", "B", "B - A", "won", "lost", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", width=2 * BAR + 1, no_wrap=True)
    for index, (field, named) in enumerate(what.slices.items()):
        if index:
            table.add_section()
        table.add_row(Text(field, "bold"))
        for name, one in named.items():
            table.add_row(*_slice(name, one))
    return Padding(table, (1, 0, 0, 0))


def _slice(name: str, one: PairedFigures) -> tuple[RenderableType, ...]:
    return (
        plain(f"  {name}"),
        number(one.n),
        percent(one.ex_a),
        percent(one.ex_b),
        points(one.difference),
        str(one.wins),
        str(one.losses),
        p_value(one.p).removeprefix("p = ").removeprefix("p "),
        _bar(one.difference or 0.0),
    )


def _bar(difference: float) -> Text:
    """A bar to the right of the middle where B is better, to the left where A is."""
    filled = min(round(abs(difference) / WIDE * BAR), BAR)
    left, right = (filled, 0) if difference < 0 else (0, filled)
    return Text.assemble(
        " " * (BAR - left), ("━" * left, "red"), ("│", "dim"), ("━" * right, "green"), " " * (BAR - right)
    )


def _flips(what: Comparison) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for winner, loser, count in (("B", "A", what.all.wins), ("A", "B", what.all.losses)):
        some = [flip for flip in what.flips if flip.winner == winner.lower()]
        if some:
            title = f"{winner} better than {loser}: {len(some)} of {count:,}"
            lines += [Text(), Rule(title, align="left", style="dim")]
            lines += [Padding(_flip(flip), (0, 0, 1, 0)) for flip in some]
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
