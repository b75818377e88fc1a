"""The leaderboard in a terminal: one table for each group of comparable runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.render.runs import size
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
    points,
    reason,
    unbroken,
)
from leaderboards import board
from leaderboards.gains import Gain
from leaderboards.seeds import Recipe
from leaderboards.types import Run, Summary, label
from tasks.common.terminal import visible

LEGEND = (
    "EX: execution accuracy in %, with its 95 % Wilson interval, of several seeds with that of their mean "
    "and their standard deviation · runs: answers that execute, in % · reward: mean, below it the shares of "
    "answers over 0.5 and over 0.95 in % · n: questions scored · unscored: our own failures, left out of "
    "every mean · memory: peak of the process, below it of its GPU"
)
EMPTY = "Nothing has been measured yet. Try: harness eval --model nano --task pocket"
RUNS_PER_TABLE = 5
"""Most runs side by side in the table of reasons."""
NAME = 16
"""Characters in a line of a model's name above a column."""
LONGEST = 32
"""Characters of a model's name that the wide table shows in one line; the narrow one if it does not fit."""


def render_board(listed: board.Board, reasons: bool = False) -> RenderableType:
    """The table of each group, then the legend. ``reasons``: also why answers failed."""
    lines: list[RenderableType] = []
    if listed.unfinished:
        lines.append(
            plain(
                f"unfinished, run the same command again to continue: {', '.join(listed.unfinished)}", "dim"
            )
        )
    if not listed.groups:
        return Group(*lines, Text(EMPTY))
    for key, rows in listed.groups.items():
        lines += [_title(key), _table(key, merged(rows, listed.recipes.get(key, ()))), *_notes(key, rows)]
        if reasons:
            lines.append(FirstThatFits(*(_reasons(rows, count) for count in range(RUNS_PER_TABLE, 0, -1))))
        lines.append(Text())
    if listed.hidden:
        lines.append(Text(f"{listed.hidden} older runs, repeated since, are not shown", style="dim"))
    return Group(*lines, Text(LEGEND, style="dim"))


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
            Text(number(figures["tokens"])).append(
                "".join(f"\n{text}" for _, text in _memory(row.run)), "dim"
            ),
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
        more += [f"{name} {text}" for name, text in _memory(row.run)]
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


def _memory(run: Run) -> list[tuple[str, str]]:
    """The peak memory of the process, and of its GPUs if it used any, with their names."""
    peaks = [("memory", NONE if run.memory is None else size(run.memory))]
    return peaks + ([("GPU", size(run.gpu_memory))] if run.gpu_memory else [])


def _modes(key: board.BoardGroup, row: board.BoardRow) -> Text:
    others = {mode: value for mode, value in row.summary["modes"].items() if mode != key.metric}
    return Text("\n".join(f"{mode} {percent(value)}" for mode, value in others.items()), "dim")


def _model(row: board.BoardRow, recipe: Recipe | None) -> Text:
    run = row.run
    origin = [f"{len(recipe.runs)} seeds" if recipe else ""]
    origin += [f"{run.method or 'trained'} of {label(run.parent)}" if run.parent else run.method]
    if temperature := run.sampling.get("temperature"):
        origin.append(f"temperature {temperature}")
    if turns := run.sampling.get("turns"):
        origin.append(f"{turns} turns")
    if run.limit:
        origin.append(f"{run.limit:,} asked")
    origin_text = plain(" · ".join(filter(None, [*origin, *row.tags])), "not bold dim")
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


def _notes(key: board.BoardGroup, rows: Sequence[board.BoardRow]) -> list[RenderableType]:
    """Lines below the table: training rows, figures of several answers, cost, and warnings."""
    table = Table.grid(padding=(0, 2))
    table.add_column(max_width=LONGEST, overflow="fold")
    for row in rows:
        name = plain(row.run.label, "dim")
        if row.run.training:
            stages = (f"{stage}: {_trained_on(data)}" for stage, data in row.run.training.items())
            table.add_row(name, plain(" → ".join(stages), "dim"))
        if trained := row.trained_in:
            used = [duration(trained.seconds), *(f"{name} {text}" for name, text in _memory(trained))]
            table.add_row(name, plain(f"trained in {', '.join(used)}", "dim"))
        if row.gain:
            table.add_row(name, _gain(row.gain, rows))
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
            table.add_row(plain(row.run.label, "yellow"), plain(f"! {warning}", "yellow"))
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
