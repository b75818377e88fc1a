"""Boards, comparisons and lists of runs as the sheets that ``--csv`` and ``--markdown`` print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from harness.render.board import LEGEND
from harness.render.matrix import share_intervals
from harness.render.runs import age, size
from harness.render.sheets import Column, Sheet
from harness.render.terminal import duration, interval, number, p_value, percent, points
from leaderboards.board import Board, BoardGroup, BoardRow
from leaderboards.catalog import Catalog
from leaderboards.compare import Comparison
from leaderboards.gate import Gated
from leaderboards.matrix import Matrix
from leaderboards.pairs import PairedFigures, Share
from leaderboards.types import Run, label

RUN_FIELDS = ("model", "parent", "trained_by", "seed", "limit", "started", "ended", "commit")
FIGURES = ("low", "high", "completions", "prompt_tokens", "cost")
"""Fields of a run, and of its summary, that only CSV has."""
PAIRED = ("p: McNemar's test, in slices and among several runs with Holm's correction",)


def board_sheets(board: Board) -> list[Sheet]:
    """One sheet for each group of comparable runs."""
    return [_group(key, rows) for key, rows in board.groups.items()]


def _group(key: BoardGroup, rows: Sequence[BoardRow]) -> Sheet:
    columns = [
        *(Column(name, _constant(value)) for name, value in key._asdict().items()),
        *(Column(name, attrgetter(f"run.{name}")) for name in RUN_FIELDS),
        Column("label", attrgetter("run.label"), "model"),
        Column("method", attrgetter("run.method"), "method"),
        Column("", lambda row: row.run.parent and label(row.run.parent), "parent"),
        Column("ex", _figure("ex"), "EX (%)", percent),
        Column("", lambda row: interval(row.summary["low"], row.summary["high"]), "95 % interval"),
        *(Column(f"part:{name}", _part(name), f"{name} (%)", percent) for name in _names(rows, "parts")),
        *(
            Column(f"mode:{name}", _of("modes", name), f"{name} (%)", percent)
            for name in _names(rows, "modes")
            if name != key.metric
        ),
        Column("executable", _figure("executable"), "runs (%)", percent),
        Column("reward", _figure("reward"), "reward", lambda value: number(value, 3)),
        Column("n", _figure("n"), "n", number),
        Column("unscored", _figure("unscored"), "unscored", number),
        Column("tokens", _figure("tokens"), "tokens", number),
        Column("seconds", attrgetter("run.seconds"), "time", duration),
        *(Column(name, _figure(name)) for name in FIGURES),
        *(Column(f"pass@{k}", _of("pass_at", k), f"pass@{k} (%)", percent) for k in _names(rows, "pass_at")),
        Column("tags", lambda row: " ".join(row.tags)),
        Column("run", attrgetter("run.id"), "run"),
    ]
    return Sheet(columns, rows, title=[key.task, key.split, key.metric], notes=[LEGEND.split(" · ")])


def _constant(value: str) -> Callable[[BoardRow], str]:
    return lambda row: value


def _figure(name: str) -> Callable[[BoardRow], Any]:
    return lambda row: row.summary.get(name)


def _of(field: str, name: str) -> Callable[[BoardRow], Any]:
    return lambda row: row.summary[field].get(name)  # type: ignore[literal-required]


def _part(name: str) -> Callable[[BoardRow], float | None]:
    return lambda row: row.summary["parts"][name]["ex"] if name in row.summary["parts"] else None


def _names(rows: Sequence[BoardRow], field: str) -> list[str]:
    """The keys of a field of the summaries; numbers by size."""
    names = {name for row in rows for name in row.summary[field]}  # type: ignore[literal-required]
    return sorted(names, key=lambda name: (int(name) if name.isdecimal() else 0, name))


class _Slice(NamedTuple):
    """A row of a comparison: figures of B against A on some questions."""

    field: str
    slice: str
    a: Run
    b: Run
    figures: PairedFigures
    low: float | None = None
    high: float | None = None
    names: str = ""
    """``B - A``, the letters of the two runs."""


def comparison_sheets(gated: Gated) -> list[Sheet]:
    """One sheet: of two runs a row for all questions and each slice, of more a row for each pair."""
    result = gated.result
    if isinstance(result, Matrix):
        runs = [(one.name, one.run, one.share) for one in result.entries]
        rows = [_pair(cell.a, cell.b, result) for cell in result.cells]
    else:
        runs = [("A", result.a, result.share_a), ("B", result.b, result.share_b)]
        rows = _slices(result)
    run = runs[-1][1]
    notes = [_described(*one) for one in runs]
    notes.append([*PAIRED, f"{result.left_out:,} questions left out"])
    names = ("first", "second") if isinstance(result, Matrix) else ("A", "B")
    return [Sheet(_paired_columns(*names), rows, title=[run.task, run.split, run.metric], notes=notes)]


def _described(name: str, run: Run, share: Share) -> list[str]:
    return [name, run.label, f"{percent(share.ex)} % ({share_intervals(share)})", run.id]


def _pair(a: str, b: str, matrix: Matrix) -> _Slice:
    runs = {one.name: one.run for one in matrix.entries}
    test = matrix.cell(a, b).test
    low, high = test.interval or (None, None)
    return _Slice("", "all", runs[a], runs[b], test.figures, low, high, f"{b} - {a}")


def _slices(comparison: Comparison) -> list[_Slice]:
    a, b = comparison.a, comparison.b
    low, high = comparison.test.interval or (None, None)
    whole = _Slice("", "all", a, b, comparison.all, low, high, "B - A")
    return [
        whole,
        *(
            _Slice(field, name, a, b, figures, names="B - A")
            for field, by_name in comparison.slices.items()
            for name, figures in by_name.items()
        ),
    ]


def _paired_columns(first: str, second: str) -> list[Column]:
    shown = {"n": ("n", number), "ex_a": (f"{first} (%)", percent), "ex_b": (f"{second} (%)", percent)}
    counted = {"wins": (f"{second} won", number), "losses": (f"{second} lost", number)}
    return [
        Column("run_a", attrgetter("a.id")),
        Column("run_b", attrgetter("b.id")),
        Column("model_a", attrgetter("a.model")),
        Column("model_b", attrgetter("b.model")),
        Column("", attrgetter("names"), "pair"),
        Column("field", attrgetter("field")),
        Column("slice", attrgetter("slice")),
        Column("", lambda row: f"{row.field}: {row.slice}" if row.field else "all questions", "questions"),
        *(Column(name, attrgetter(f"figures.{name}"), *how) for name, how in shown.items()),
        Column("difference", attrgetter("figures.difference"), "difference", _signed),
        Column("low", attrgetter("low")),
        Column("high", attrgetter("high")),
        Column("", _bounds, "95 % interval"),
        *(Column(name, attrgetter(f"figures.{name}"), *how) for name, how in counted.items()),
        Column("ties", attrgetter("figures.ties")),
        Column("p", attrgetter("figures.p")),
        Column("p_holm", attrgetter("figures.p_holm")),
        Column(
            "",
            attrgetter("figures.corrected"),
            "p",
            lambda p: p_value(p).removeprefix("p = ").removeprefix("p "),
        ),
        Column("outcome", attrgetter("figures.outcome"), f"{second} is"),
    ]


def _signed(value: float | None) -> str:
    return points(value).plain


def _bounds(row: _Slice) -> str:
    return "" if row.low is None else f"{_signed(row.low)} … {_signed(row.high)}"


def catalog_sheets(catalog: Catalog) -> list[Sheet]:
    """One sheet with a row for each run."""
    columns = [
        Column("run", attrgetter("run.id"), "run"),
        Column("kind", attrgetter("run.kind"), "kind"),
        Column("model", attrgetter("run.model")),
        Column("label", attrgetter("run.label"), "model"),
        Column("task", attrgetter("run.task"), "task"),
        *(Column(name, attrgetter(f"run.{name}")) for name in ("split", "method", "started", "ended")),
        Column("ex", attrgetter("ex"), "EX (%)", percent),
        Column("n", attrgetter("n"), "n", number),
        Column("age_seconds", attrgetter("age"), "age", age),
        Column("bytes", attrgetter("bytes"), "size", size),
        Column("state", attrgetter("state"), "state"),
        Column("tags", lambda row: " ".join(row.tags), "tags"),
    ]
    return [Sheet(columns, catalog.rows)]
