"""Boards, comparisons and lists of runs as the sheets that ``--csv`` and ``--markdown`` print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from harness.render.matrix import share_intervals
from harness.render.runs import age, size
from harness.render.seeds import Line, merged
from harness.render.sheets import Column, Sheet
from harness.render.terminal import NONE, duration, interval, number, p_value, percent, points
from leaderboards.board import Board, BoardGroup, BoardRow
from leaderboards.catalog import Catalog
from leaderboards.compare import Comparison
from leaderboards.gate import Gated
from leaderboards.matrix import Matrix
from leaderboards.pairs import PairedFigures, Share
from leaderboards.types import Run, label

COSTS = ("seconds", "memory", "gpu_memory")
"""The fields of a run, and of the training of its model, that say what it needed."""
RUN_FIELDS = (
    "model",
    "label",
    "method",
    "parent",
    "trained_by",
    "seed",
    "limit",
    "started",
    "ended",
    *COSTS,
)
FIGURES = (
    *("ex", "low", "high", "n", "completions", "unscored", "executable", "reward", "success", "perfect"),
    *("tokens", "prompt_tokens", "cost"),
)
"""The fields of a run, and of its summary, in CSV."""
NOTES = (
    "EX: execution accuracy with its 95 % Wilson interval, of several seeds their mean with its interval",
    "gain: points over the parent, p of McNemar's test",
    "runs: answers that execute",
    "unscored: our own failures, left out of every mean",
)
PAIRED = ("p: McNemar's test, in slices and among several runs with Holm's correction",)


def board_sheets(board: Board) -> list[Sheet]:
    """For each group of comparable runs, a sheet of its runs for CSV and one of its lines for Markdown."""
    sheets = []
    for key, rows in board.groups.items():
        lines = merged(rows, board.recipes.get(key, ()))
        sheets += [Sheet(_csv_columns(key, rows), rows), _as_terminal(key, lines)]
    return sheets


def _csv_columns(key: BoardGroup, rows: Sequence[BoardRow]) -> list[Column]:
    """All figures of each run."""
    return [
        *(Column(name, _constant(value)) for name, value in key._asdict().items()),
        Column("run", attrgetter("run.id")),
        *(Column(name, attrgetter(f"run.{name}")) for name in RUN_FIELDS),
        *(Column(name, _figure(name)) for name in FIGURES),
        *(Column(f"part:{name}", _part(name)) for name in _names(rows, "parts")),
        *(Column(f"mode:{name}", _of("modes", name)) for name in _names(rows, "modes")),
        *(Column(f"pass@{k}", _of("pass_at", k)) for k in _names(rows, "pass_at")),
        Column("gain", lambda row: row.gain and row.gain.test.figures.difference),
        Column("gain_over", lambda row: row.gain and row.gain.parent),
        Column("gain_p", lambda row: row.gain and row.gain.test.figures.p),
        *(Column(f"training_{name}", _of_training(name)) for name in COSTS),
        Column("tags", lambda row: " ".join(row.tags)),
    ]


def _as_terminal(key: BoardGroup, lines: Sequence[Line]) -> Sheet:
    """The lines of ``harness board``: a recipe with several seeds is one of them."""
    rows = [row for row, _ in lines]
    modes = [name for name in _names(rows, "modes") if name != key.metric]
    seeds = [Column("", _seeds, "seeds", number), Column("", _spread, "± over seeds", percent)]
    gpu = [_shown(attrgetter("run.gpu_memory"), "GPU memory", _size)]
    asked = [_shown(lambda row: ", ".join(row.run.unusual), "asked")]
    gains = [Column("", _gained, "gain", _signed), Column("", _gain_p, "p of the gain", _p)]
    columns = [
        _shown(attrgetter("run.label"), "model"),
        _shown(attrgetter("run.method"), "method"),
        _shown(lambda row: row.run.parent and label(row.run.parent), "parent"),
        *(asked if any(row.run.unusual for row in rows) else []),
        *(seeds if any(recipe for _, recipe in lines) else []),
        _shown(_figure("ex"), "EX (%)", percent),
        _shown(lambda row: interval(row.summary["low"], row.summary["high"]), "95 % interval"),
        *(gains if any(row.gain for row in rows) else []),
        *(_shown(_part(name), f"{name} (%)", percent) for name in _names(rows, "parts")),
        *(_shown(_of("modes", name), f"{name} (%)", percent) for name in modes),
        *(_shown(_of("pass_at", k), f"pass@{k} (%)", percent) for k in _names(rows, "pass_at")),
        _shown(_figure("executable"), "runs (%)", percent),
        _shown(_figure("reward"), "reward", lambda value: number(value, 3)),
        _shown(_figure("n"), "n", number),
        _shown(_figure("unscored"), "unscored", number),
        _shown(_figure("tokens"), "tokens", number),
        _shown(attrgetter("run.seconds"), "time", duration),
        _shown(attrgetter("run.memory"), "memory", _size),
        *(gpu if any(row.run.gpu_memory for row in rows) else []),
        _shown(attrgetter("run.id"), "run"),
    ]
    return Sheet(columns, lines, title=[key.task, key.split, key.metric], notes=[NOTES])


def _shown(value: Callable[[BoardRow], Any], title: str, show: Callable[[Any], str] = str) -> Column:
    """A column that only Markdown has, of the row of a line."""
    return Column("", lambda line: value(line[0]), title, show)


def _seeds(line: Line) -> int:
    return len(line[1].runs) if line[1] else 1


def _spread(line: Line) -> float | None:
    """The standard deviation over seeds."""
    return line[1].ex.deviation if line[1] else None


def _gained(line: Line) -> float | None:
    gain = line[0].gain
    return gain.test.figures.difference if gain else None


def _gain_p(line: Line) -> float | None:
    gain = line[0].gain
    return gain.test.figures.p if gain else None


def _size(value: int | None) -> str:
    return NONE if value is None else size(value)


def _p(value: float | None) -> str:
    return NONE if value is None else p_value(value).removeprefix("p = ").removeprefix("p ")


def _constant(value: str) -> Callable[[BoardRow], str]:
    return lambda row: value


def _figure(name: str) -> Callable[[BoardRow], Any]:
    return lambda row: row.summary.get(name)


def _of(field: str, name: str) -> Callable[[BoardRow], Any]:
    return lambda row: row.summary[field].get(name)  # type: ignore[literal-required]


def _of_training(name: str) -> Callable[[BoardRow], Any]:
    return lambda row: getattr(row.trained_in, name, None)


def _part(name: str) -> Callable[[BoardRow], float | None]:
    return lambda row: row.summary["parts"][name]["ex"] if name in row.summary["parts"] else None


def _names(rows: Sequence[BoardRow], field: str) -> list[str]:
    """The keys of a field of the summaries; numbers by size."""
    names = {name for row in rows for name in row.summary[field]}  # type: ignore[literal-required]
    return sorted(names, key=lambda name: (int(name) if name.isdecimal() and len(name) < 20 else 0, name))


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
        Column("", attrgetter("figures.corrected"), "p", _p),
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
