"""The check of a task in a terminal: a column for each split, a row for each count, then broken golds."""

from __future__ import annotations

from collections import Counter

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.check import SplitCheck, TaskCheck
from harness.linking import LinkingCheck
from harness.render.terminal import plain
from rewards.translation import CAUSES

SHOWN = 5
"""Broken golds printed of each split; ``--json`` has all."""


def render_check(check: TaskCheck) -> RenderableType:
    """The table of counts, some broken golds of each split, and the verdict."""
    counts = Table(
        title=plain(f"{check.task}  (digest {check.digest})"), title_justify="left", box=None, padding=(0, 2)
    )
    counts.add_column("")
    for split in check.splits:
        counts.add_column(plain(split.split), justify="right")
    columns = [_cells(split, check.budget) for split in check.splits]
    for name in columns[0]:
        counts.add_row(name, *(cells[name] for cells in columns))
    broken = [_broken(split) for split in check.splits if split.broken]
    lost = [_lost(split) for split in check.splits if split.lost]
    return Group(counts, *lost, *broken, _verdict(check))


def _cells(split: SplitCheck, budget: int) -> dict[str, str]:
    def share(number: int) -> str:
        return f"{number} ({number / split.rows:.1%})"

    modes = {f"gold is right, {mode}": share(count) for mode, count in split.right.items()}
    over = {f"prompts over the context of {split.context}": str(split.over_context)} if split.context else {}
    lost = {"golds not translated": str(len(split.lost))} if split.lost else {}
    return {
        "rows": str(split.total),
        "with a database": f"{split.rows} of {split.total}",
        **modes,
        **lost,
        "reachable ceiling": f"{split.ceiling:.2%}",
        "gold returns nothing": share(split.empty),
        "gold is a single cell": share(split.single_cell),
        "gold is slow": str(split.slow),
        "gold's LIMIT cuts through a tie": str(split.cut),
        "gold reads clock or random numbers": str(split.volatile),
        "duplicate questions": str(split.duplicates),
        "questions shared with train": str(split.shared_questions),
        "(question, gold) shared with train": str(split.shared_pairs),
        "longest prompt, tokens": str(split.longest_prompt or "not counted"),
        f"prompts over {budget} tokens" if budget else "prompts over budget": str(split.over_budget),
        **over,
        **_linking(split.linking),
    }


def _linking(check: LinkingCheck | None) -> dict[str, str]:
    """The rows of a task whose prompts show a part of the schema."""
    if check is None:
        return {}
    lengths = f"{check.tokens:.0f}, without {check.tokens_without:.0f}" if check.tokens else "not counted"
    shares = {
        "gold tables in the prompt": check.tables,
        "gold columns in the prompt": check.columns,
        "golds with all tables and columns": check.complete,
    }
    return {
        f"schema over {check.budget} tokens, cut": str(check.cut),
        **{name: f"{share:.1%}" if check.golds else "no gold SQL" for name, share in shares.items()},
        "mean prompt, tokens": lengths,
    }


def _lost(split: SplitCheck) -> RenderableType:
    """A table of the golds that could not be translated, by cause."""
    table = Table(
        title=plain(f"\n{split.split}: {len(split.lost)} golds are not translated"),
        title_justify="left",
        box=None,
        padding=(0, 2),
    )
    for name in ("cause", "golds", "what happens", "first"):
        table.add_column(name, justify="right" if name == "golds" else "left")
    for cause, count in Counter(gold.cause for gold in split.lost).most_common():
        first = next(gold for gold in split.lost if gold.cause == cause)
        example = f"{first.id} on {first.database}: {first.detail}"
        table.add_row(*map(plain, (cause, str(count), CAUSES[cause], example[:120])))
    return table


def _broken(split: SplitCheck) -> RenderableType:
    lines = [plain(f"\n{split.split}: golds are broken: {len(split.broken)}", "bold red")]
    lines += [
        plain(f"  {gold.id} on {gold.database}: {gold.reason}: {gold.detail}"[:200])
        for gold in split.broken[:SHOWN]
    ]
    return Group(*lines)


def _verdict(check: TaskCheck) -> RenderableType:
    if check.broken:
        return Text(f"\ngolds that fail: {check.broken}", style="bold red")
    return Text("\nevery gold runs and is right in every mode", style="bold green")
