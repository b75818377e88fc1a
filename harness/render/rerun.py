"""A repeated evaluation in a terminal: the verdicts that differ, and why."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.render.terminal import NONE, columns, number, percent, plain, reason
from leaderboards.identity import listed
from leaderboards.verdicts import Rerun, VerdictChange

SHOWN = 20
"""Verdicts that are printed; ``--json`` has all."""


def render_rerun(rerun: Rerun) -> RenderableType:
    """Both runs, what changed, and the first verdicts that differ."""
    head = Table.grid(padding=(0, 2))
    for name, run, ex in (("then", rerun.old, rerun.ex_old), ("now", rerun.new, rerun.ex_new)):
        head.add_row(Text(name, "bold"), Text(f"{percent(ex)} %"), plain(run.id, "dim"))
    lines: list[RenderableType] = [head]
    if rerun.inputs_changed:
        lines.append(plain(f"changed since then: {listed(rerun.inputs_changed)}", "yellow"))
    texts = f"{number(rerun.answers_differ)} of {number(rerun.n)} answers have another text"
    lines.append(Text(texts, "dim"))
    if not rerun.changes:
        return Group(*lines, Text(f"all {number(rerun.n)} verdicts are the same", "green"))
    counts = ", ".join(f"{number(count)} {why}" for why, count in rerun.reasons.items())
    lines.append(Text(f"{number(len(rerun.changes))} of {number(rerun.n)} verdicts differ: {counts}", "red"))
    return Group(*lines, _table(rerun))


def _table(rerun: Rerun) -> Padding:
    table = columns("question")
    table.columns[0].max_width = 24
    for name in ("then", "now", "why"):
        table.add_column(name)
    for change in rerun.changes[:SHOWN]:
        table.add_row(_question(change), _verdict(change.old), _verdict(change.new), Text(_why(change)))
    if len(rerun.changes) > SHOWN:
        table.add_row(Text(f"{len(rerun.changes) - SHOWN:,} more (--json)", "dim"))
    return Padding(table, (1, 0, 0, 0))


def _question(change: VerdictChange) -> Text:
    index = f" answer {change.sample_index + 1}" if change.sample_index else ""
    return plain(f"{change.sample_id}{index}")


def _verdict(name: str) -> Text:
    return reason(name) if name else Text(NONE)


def _why(change: VerdictChange) -> str:
    """Why the verdict differs, with the modes where it is about them only."""
    only = change.old == change.new and change.old_metric == change.new_metric and change.modes
    return f"{change.why} ({', '.join(change.modes)})" if only else change.why
