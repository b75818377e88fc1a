"""Two runs in a terminal: the verdict, where it comes from, and some of the questions that changed."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from leaderboards.compare import Comparison, Flip, Paired
from leaderboards.terminal import number, p_value, percent, plain, points, reason

BAR = 20
"""Characters on either side of the middle of a bar; they stand for WIDE."""
WIDE = 0.5
"""The difference, as a share, that fills one side of a bar; a longer one is cut."""


def screen(what: Comparison) -> RenderableType:
    """The whole comparison."""
    tables: list[RenderableType] = [_slices(what)] if what.slices else []
    flips = [Padding(_flip(flip), (1, 0, 0, 0)) for flip in what.flips]
    return Group(_head(what), Text(), _totals(what), *tables, *flips)


def _head(what: Comparison) -> Table:
    title = plain(f"{what.b.task} · {what.b.split} · {what.b.metric}", "bold")
    table = Table.grid(padding=(0, 2))
    table.add_row("", title)
    for name, run, ex in (("A", what.a, what.all.ex_a), ("B", what.b, what.all.ex_b)):
        table.add_row(Text(name, "bold"), plain(run.label, "bold"), f"{percent(ex)} %", Text(run.id, "dim"))
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
    return table


def _slices(what: Comparison) -> Padding:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, header_style="", pad_edge=False)
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1, min_width=12)
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


def _slice(name: str, one: Paired) -> tuple[RenderableType, ...]:
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


def _flip(flip: Flip) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row(
        Text("?", "bold"), plain(flip.question, "bold").append(f"  {flip.sample_id}", "not bold dim")
    )
    table.add_row(Text("gold", "dim"), plain(flip.gold, "dim"))
    for name, why, sql in (("A", flip.reason_a, flip.sql_a), ("B", flip.reason_b, flip.sql_b)):
        table.add_row(Text(name, "bold"), reason(why).append("  ").append_text(plain(sql, "default")))
    return table
