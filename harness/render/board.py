"""The leaderboard in a terminal: one table for each group of comparable runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.render.board_notes import notes
from harness.render.runs import FIRST, peaks
from harness.render.seeds import Line, merged
from harness.render.terminal import (
    NONE,
    FirstThatFits,
    columns,
    duration,
    interval,
    number,
    percent,
    plain,
    reason,
    unbroken,
)
from leaderboards import board
from leaderboards.seeds import Recipe
from leaderboards.types import Summary, label
from tasks.common.home import home
from tasks.common.terminal import visible

LEGEND = (
    "EX: execution accuracy in %, with its 95 % Wilson interval, of several seeds with that of their mean "
    "and their standard deviation · runs: answers that execute, in % · reward: mean, below it the shares of "
    "answers over 0.5 and over 0.95 in % · n: questions scored · unscored: our own failures, left out of "
    "every mean · memory: peak of the process, below it of its GPU"
)
RUNS_PER_TABLE = 5
"""Most runs side by side in the table of reasons."""
BEST, NEWEST = 50, 10
"""Lines of a group that are shown: so many of the highest scores, and those of so many newest runs."""
NAME = 16
"""Characters in a line of a model's name above a column."""
LONGEST = 32
"""Characters of a model's name that the wide table shows in one line; the narrow one if it does not fit."""


def render_board(listed: board.Board, reasons: bool = False, every: bool = False) -> RenderableType:
    """The table of each group, then the legend.

    ``reasons``: also why answers failed. ``every``: also the runs that are neither among the BEST nor among
    the NEWEST of their group.
    """
    lines: list[RenderableType] = []
    if listed.unfinished:
        lines.append(
            plain(
                f"unfinished, run the same command again to continue: {', '.join(listed.unfinished)}", "dim"
            )
        )
    if not listed.groups:
        return Group(*lines, plain(f"Nothing has been measured yet in {home()}. Try: {FIRST}"))
    for key, rows in listed.groups.items():
        ranked = merged(rows, listed.recipes.get(key, ()))
        chosen = ranked if every else _chosen(ranked)
        shown = _rows_of(chosen, rows)
        lines += [_title(key), _table(key, chosen), *_left_out(ranked, chosen), *notes(key, shown, rows)]
        if reasons:
            lines.append(FirstThatFits(*(_reasons(shown, count) for count in range(RUNS_PER_TABLE, 0, -1))))
        lines.append(Text())
    if listed.hidden:
        lines.append(Text(f"{listed.hidden} older runs, repeated since, are not shown", style="dim"))
    return Group(*lines, Text(LEGEND, style="dim"))


def _chosen(lines: Sequence[Line]) -> list[Line]:
    """The best lines and those of the newest runs, the best first."""
    by_age = sorted(lines, key=lambda line: line[0].run.started, reverse=True)
    newest = {row.run.id for row, _ in by_age[:NEWEST]}
    return [line for place, line in enumerate(lines) if place < BEST or line[0].run.id in newest]


def _rows_of(lines: Sequence[Line], rows: Sequence[board.BoardRow]) -> list[board.BoardRow]:
    """The rows of a group that are shown in some lines, those of a recipe too."""
    shown = {run for row, recipe in lines for run in (recipe.runs if recipe else (row.run.id,))}
    return [row for row in rows if row.run.id in shown]


def _left_out(lines: Sequence[Line], chosen: Sequence[Line]) -> list[RenderableType]:
    count = len(lines) - len(chosen)
    note = f"{count:,} more lines: harness board --all (here: the best {BEST} and the newest {NEWEST})"
    return [Text(note, style="dim")] if count else []


def _title(key: board.BoardGroup) -> Text:
    title = plain(f"{key.task} · {key.split} · {key.metric}", "bold")
    databases = f" · databases {key.databases[:8]}" if key.databases else ""
    versions = f"   task {key.task_digest[:8]} · scorer {key.scorer_version[:8]}{databases}"
    return title.append(visible(versions), style="not bold dim")


def _table(key: board.BoardGroup, lines: Sequence[Line]) -> RenderableType:
    """The ranked runs: with a column for each figure, or in a narrow terminal with some below the model."""
    return FirstThatFits(_wide(key, lines), _narrow(key, lines))


def _wide(key: board.BoardGroup, lines: Sequence[Line]) -> Table:
    """The column of other modes is shown only for tasks without parts, for lack of room."""
    rows = [row for row, _ in lines]
    parts = _parts(rows)
    others = ("by other\nrules",) if not parts and any(_modes(key, row) for row in rows) else ()
    table = columns("\nmodel")
    table.columns[0].min_width = min(LONGEST, max(cell_len(row.run.label) for row in rows))
    table.add_column(Text("\nEX", "bold"), justify="right", no_wrap=True)
    for name in (*parts, *others, "runs", "reward", "n", "un-\nscored", "tokens\nmemory", "time"):
        table.add_column(plain(name if "\n" in name else f"\n{name}"), justify="right", no_wrap=True)
    for row, recipe in lines:
        figures = row.summary
        table.add_row(
            _model(row, recipe),
            _headline(figures, recipe),
            *(percent(figures["parts"][name]["ex"]) if name in figures["parts"] else NONE for name in parts),
            *(_modes(key, row) for _ in others),
            *_usual(row),
            Text(number(figures["tokens"])).append("".join(f"\n{text}" for _, text in peaks(row.run)), "dim"),
            duration(row.run.seconds),
        )
    return unbroken(table)


def _narrow(key: board.BoardGroup, lines: Sequence[Line]) -> Table:
    """Figures of parts and other modes, tokens and time are in the line below the model."""
    parts = _parts([row for row, _ in lines])
    table = columns("\nmodel")
    table.columns[0].max_width = None
    table.add_column(Text("\nEX", "bold"), justify="right", no_wrap=True)
    for name in ("\nruns", "\nreward", "\nn", "un-\nscored"):
        table.add_column(name, justify="right", no_wrap=True)
    for row, recipe in lines:
        figures = row.summary
        found = figures["parts"]
        more = [f"{visible(name)} {percent(found[name]['ex'])}" for name in parts if name in found]
        more += _modes(key, row).plain.splitlines() if not parts else []
        more += [f"tokens {number(figures['tokens'])}", f"time {duration(row.run.seconds)}"]
        more += [f"{name} {text}" for name, text in peaks(row.run)]
        text = _model(row, recipe).append(f"\n{', '.join(more)}", "not bold dim")
        table.add_row(text, _headline(figures, recipe), *_usual(row))
    return unbroken(table)


def _parts(rows: Sequence[board.BoardRow]) -> list[str]:
    return sorted({name for row in rows for name in row.summary["parts"]})


def _usual(row: board.BoardRow) -> Iterator[RenderableType]:
    """The cells of answers that run, reward, n and unscored."""
    figures = row.summary
    yield percent(figures["executable"])
    yield _rewarded(figures)
    yield number(figures["n"])
    yield Text(number(figures["unscored"]), style="yellow" if figures["unscored"] else "dim")


def _modes(key: board.BoardGroup, row: board.BoardRow) -> Text:
    others = {mode: value for mode, value in row.summary["modes"].items() if mode != key.metric}
    return Text("\n".join(f"{mode} {percent(value)}" for mode, value in others.items()), "dim")


def _model(row: board.BoardRow, recipe: Recipe | None) -> Text:
    run = row.run
    origin = [f"{len(recipe.runs)} seeds" if recipe else ""]
    origin += [f"{run.method or 'trained'} of {label(run.parent)}" if run.parent else run.method]
    origin_text = plain(" · ".join(filter(None, [*origin, *run.unusual, *row.tags])), "not bold dim")
    return plain(run.label, "bold").append("\n").append_text(origin_text)


def _rewarded(figures: Summary) -> Text:
    """The mean reward, and the shares of answers with a reward over 0.5 and over 0.95."""
    success, perfect = figures.get("success"), figures.get("perfect")
    shares = "" if success is None or perfect is None else f"\n{100 * success:.0f}/{100 * perfect:.0f}"
    return Text(number(figures["reward"], 3)).append(shares, "dim")


def _headline(figures: Summary, recipe: Recipe | None) -> Text:
    bounds = interval(figures["low"], figures["high"])
    if recipe and recipe.ex.deviation is not None:
        bounds += f"\n±{100 * recipe.ex.deviation:.1f}"
    return Text.assemble((percent(figures["ex"]), "bold"), "\n", (bounds, "dim"))


def _reasons(rows: Sequence[board.BoardRow], per_table: int) -> RenderableType:
    """How often each reason occurred, with a column for each run and so many runs in a table."""
    groups = [rows[i : i + per_table] for i in range(0, len(rows), per_table)]
    return Group(*(Padding(_reasons_table(group), (1, 0, 0, 0)) for group in groups))


def _reasons_table(rows: Sequence[board.BoardRow]) -> Table:
    totals: dict[str, int] = {}
    for row in rows:
        for name, count in row.summary["reasons"].items():
            totals[name] = totals.get(name, 0) + count
    table = columns("reason")
    table.columns[0].min_width = min(LONGEST, max(map(len, totals), default=0))
    for row in rows:
        model = visible(row.run.label)
        lines = [model[i : i + NAME] for i in range(0, len(model), NAME)]
        table.add_column(plain("\n".join(lines)), justify="right", overflow="fold", min_width=14)
    for name in sorted(totals, key=lambda name: (name != "correct", -totals[name])):
        table.add_row(reason(name), *(_share(row, name) for row in rows))
    return table


def _share(row: board.BoardRow, name: str) -> Text:
    count = row.summary["reasons"].get(name, 0)
    share = percent(count / row.summary["completions"]) if row.summary["completions"] else ""
    return Text(f"{count:,}  {share:>5} %", style="" if count else "dim")
