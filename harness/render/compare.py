"""A comparison in a terminal: totals, slices, and some of the questions that changed."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from harness.render.matrix import OUTCOMES, render_matrix, runs, verdict
from harness.render.terminal import columns, number, p_value, percent, plain, points, reason
from leaderboards.compare import Comparison, Flip
from leaderboards.gate import Gated
from leaderboards.identity import listed
from leaderboards.matrix import Matrix
from leaderboards.pairs import PairedFigures
from tasks.common.terminal import visible

BAR = 4
"""Characters on either side of the middle of a bar; all of them show a difference of WIDE."""
WIDE = 0.25
"""The difference, as a share, that fills one side of a bar; a longer one is cut."""
SLICES = 12
"""Most slices of a field that are shown: those with the smallest p-values."""


def render_comparison(comparison: Comparison) -> RenderableType:
    """The verdict, the totals, the slices, and some questions that only one run got right."""
    title = plain(f"{comparison.b.task} · {comparison.b.split} · {comparison.b.metric}", "bold")
    tables: list[RenderableType] = [_slices(comparison)] if comparison.slices else []
    shares = ("A", comparison.a, comparison.share_a), ("B", comparison.b, comparison.share_b)
    return Group(title, runs(shares), Text(), _totals(comparison), *tables, *_flips(comparison))


def render_gated(gated: Gated) -> RenderableType:
    """The comparison or matrix, then each condition of ``--fail-if`` that does not hold."""
    result = gated.result
    drawn = render_matrix(result) if isinstance(result, Matrix) else render_comparison(result)
    passed = [plain(f"passed --fail-if {one.condition}: {one.text}") for one in gated.gates if not one.holds]
    return Group(drawn, *passed)


def _totals(comparison: Comparison) -> Table:
    test, totals = comparison.test, comparison.all
    table = Table.grid(padding=(0, 2))
    table.add_row(Text("verdict", "bold"), verdict(test))
    table.add_row(Text("where", "bold"), _where(comparison))
    table.add_row(Text("B - A", "bold"), points(totals.difference).append(" points"))
    if test.interval:
        table.add_row("", Text(f"{_ends(*test.interval)}   95 % interval, other questions"))
    if test.clustered:
        clusters = f"other databases ({test.clustered.clusters} here)"
        ends = _ends(test.clustered.low, test.clustered.high)
        table.add_row("", Text(f"{ends}   95 % clustered interval, {clusters}"))
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
        table.add_row("", plain(f"besides the model they differ in {listed(comparison.differ)}", "yellow"))
    return table


def _ends(low: float, high: float) -> str:
    return f"{points(low).plain} … {points(high).plain}"


def _where(comparison: Comparison) -> Text:
    """The slices in which B is better or worse, a line for each field."""
    if not comparison.slices:
        return Text("all questions are of one slice", "dim")
    lines: dict[tuple[str, str], list[str]] = {}
    for one in comparison.where:
        found = lines.setdefault((one.figures.outcome, one.field), [])
        found.append(f"{one.value} {points(one.figures.difference).plain}")
    if not lines:
        return Text("in no slice is the difference significant by itself", "dim")
    texts = [
        Text.assemble((f"{outcome} ", OUTCOMES[outcome]), f"by {field}: ", visible(", ".join(found)))
        for (outcome, field), found in sorted(lines.items(), key=lambda line: line[0][0])
    ]
    return Text("\n").join(texts)


def _slices(comparison: Comparison) -> Group:
    table = columns("")
    for name in ("n", "A", "B", "B - A", "won", "lost", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", width=2 * BAR + 1, no_wrap=True)
    for index, (field, by_value) in enumerate(comparison.slices.items()):
        if index:
            table.add_section()
        shown = sorted(by_value, key=lambda value: by_value[value].p)[:SLICES]
        left = len(by_value) - len(shown)
        more = f" (the {len(shown)} of {len(by_value)} with the smallest p)" if left else ""
        table.add_row(Text(f"{field}{more}", "bold"))
        for name, figures in by_value.items():
            if name in shown:
                table.add_row(*_slice(name, figures))
    note = "won, lost: by B · p: McNemar's test with Holm's correction over the rows of a block"
    return Group(Padding(table, (1, 0, 0, 0)), Text(note, style="dim"))


def _slice(name: str, figures: PairedFigures) -> tuple[RenderableType, ...]:
    return (
        plain(f"  {name}"),
        number(figures.n),
        percent(figures.ex_a),
        percent(figures.ex_b),
        points(figures.difference),
        str(figures.wins),
        str(figures.losses),
        p_value(figures.corrected).removeprefix("p = ").removeprefix("p "),
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
