"""Several runs compared in a terminal: their scores, and a matrix of the differences between them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.render.terminal import columns, interval, p_value, percent, plain, points
from leaderboards.identity import listed
from leaderboards.matrix import Matrix
from leaderboards.pairs import PairedTest, Share
from leaderboards.types import Run

OUTCOMES = {"better": "bold green", "worse": "bold red", "no significant difference": "bold yellow"}
"""Styles of a verdict."""
WIDE = 7
"""Runs from which on the matrix is not drawn, since it would be wider than 80 columns."""


def render_matrix(matrix: Matrix) -> RenderableType:
    """The runs with their scores, the matrix of differences, and the verdict on each pair."""
    run = matrix.entries[-1].run
    title = plain(f"{run.task} · {run.split} · {run.metric}", "bold")
    left = f", {matrix.left_out:,} left out (not in all runs, or unscored)" if matrix.left_out else ""
    count = Text(f"{matrix.n:,} questions in all {len(matrix.entries)} runs{left}", style="dim")
    drawn = [_matrix(matrix)] if len(matrix.entries) < WIDE else []
    shares = [(entry.name, entry.run, entry.share) for entry in matrix.entries]
    return Group(title, runs(shares), count, *drawn, _verdicts(matrix))


def runs(entries: Sequence[tuple[str, Run, Share]]) -> Table:
    """The letter, name, id, score and intervals of each run; a long name is folded, figures never are."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    for name, run, share in entries:
        figures = Text(f"{percent(share.ex)} %", "bold")
        figures.append(f"  {share_intervals(share)}", "dim")
        label = plain(run.label, "bold").append("\n").append_text(plain(run.id, "not bold dim"))
        table.add_row(Text(name, "bold"), label, figures)
    return table


def _matrix(matrix: Matrix) -> RenderableType:
    """Row minus column, with p below it."""
    names = [entry.name for entry in matrix.entries]
    table = columns("row -\ncolumn")
    for name in names[:-1]:
        table.add_column(Text(f"\n{name}", "bold"), justify="right", no_wrap=True)
    for i, row in enumerate(names[1:], start=1):
        cells = [_cell(matrix.cell(column, row).test) for column in names[:i]]
        table.add_row(Text(row, "bold"), *cells)
    note = "below each difference: p of McNemar's test after Holm's correction over all pairs; * below 0.05"
    return Group(Padding(table, (1, 0, 0, 0)), Text(note, style="dim"))


def _cell(test: PairedTest) -> Text:
    star = "" if test.figures.outcome == "no significant difference" else "*"
    return points(test.figures.difference).append(f"{star:1}\n{p_value(test.figures.corrected)} ", "dim")


def _verdicts(matrix: Matrix) -> Padding:
    table = Table.grid(padding=(0, 2))
    for cell in matrix.cells:
        text = verdict(cell.test, cell.a, cell.b)
        if cell.differ:
            text.append_text(plain(f"; besides the model they differ in {listed(cell.differ)}", "yellow"))
        table.add_row(text)
    return Padding(table, (1, 0, 0, 0))


def share_intervals(share: Share) -> str:
    """Both intervals of a share."""
    plain_interval = interval(*share.interval) if share.interval else ""
    if share.clustered is None:
        return plain_interval
    return f"{plain_interval} (other databases {interval(share.clustered.low, share.clustered.high)})"


def verdict(test: PairedTest, a: str = "A", b: str = "B") -> Text:
    """The verdict of a test as a sentence that names both runs."""
    found = test.verdict
    rest = found.text.removeprefix(found.outcome)
    if found.outcome == "no significant difference":
        return Text.assemble((f"{found.outcome} between {a} and {b}", OUTCOMES[found.outcome]), rest)
    return Text.assemble((f"{b} is {found.outcome} than {a}", OUTCOMES[found.outcome]), rest)
