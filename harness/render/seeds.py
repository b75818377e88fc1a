"""Runs that differ only in seeds, as one row of a board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from leaderboards.board import BoardRow, rank
from leaderboards.seeds import Recipe
from leaderboards.summary import mean
from leaderboards.types import Slice, Summary

Line = tuple[BoardRow, Recipe | None]
"""A run, or the means of the runs of a recipe in place of its newest run."""


def merged(rows: Sequence[BoardRow], recipes: Sequence[Recipe]) -> list[Line]:
    """The rows of a group, best first, with one row for each recipe."""
    recipe_of = {run: recipe for recipe in recipes for run in recipe.runs}
    by_id = {row.run.id: row for row in rows}
    lines: list[Line] = [(row, None) for row in rows if row.run.id not in recipe_of]
    lines += [(_means([by_id[run] for run in recipe.runs], recipe), recipe) for recipe in recipes]
    return sorted(lines, key=lambda line: rank(line[0]))


def _means(rows: Sequence[BoardRow], recipe: Recipe) -> BoardRow:
    """The newest row with the means of all, and the interval of the mean over seeds.

    Counts of answers are sums, and peak memory is the largest. What has no mean, such as the gain of the
    newest row and the interval for other databases, is left out.
    """
    runs = [row.run for row in rows]
    run = replace(
        runs[0],
        seconds=sum(run.seconds for run in runs) / len(runs),
        memory=_largest([run.memory for run in runs]),
        gpu_memory=_largest([run.gpu_memory for run in runs]),
    )
    summary = _summary([row.summary for row in rows])
    summary |= {"ex": recipe.ex.mean, "low": recipe.ex.low, "high": recipe.ex.high}
    tags = tuple(sorted({tag for row in rows for tag in row.tags}))
    return replace(rows[0], run=run, summary=summary, tags=tags, gain=None)


def _summary(summaries: Sequence[Summary]) -> Summary:
    """The sums of counts and the means of all other figures; the newest's where there is neither."""

    def over(figure: Callable[[Summary], float | None]) -> float | None:
        return mean(map(figure, summaries))

    return {
        **summaries[0],
        "completions": sum(one["completions"] for one in summaries),
        "unscored": sum(one["unscored"] for one in summaries),
        "unanswered": sum(one.get("unanswered", 0) for one in summaries),
        "executable": over(lambda figures: figures["executable"]),
        "reward": over(lambda figures: figures["reward"]),
        "success": over(lambda figures: figures.get("success")),
        "perfect": over(lambda figures: figures.get("perfect")),
        "clustered": None,
        "tokens": over(lambda figures: figures["tokens"]),
        "prompt_tokens": over(lambda figures: figures["prompt_tokens"]),
        "empty_gold": over(lambda figures: figures["empty_gold"]),
        "modes": _each([one["modes"] for one in summaries]),
        "modes_unscored": _sums([one.get("modes_unscored", {}) for one in summaries]),
        "cost": over(lambda figures: figures["cost"]) or 0.0,
        "pass_at": _each([one["pass_at"] for one in summaries]),
        "best_of": _each([one["best_of"] for one in summaries]),
        "majority": _each([one["majority"] for one in summaries]),
        "parts": _slices([one["parts"] for one in summaries]),
        "difficulty": _slices([one["difficulty"] for one in summaries]),
        "reasons": _sums([one["reasons"] for one in summaries]),
        "alarms": _each([one["alarms"] for one in summaries]),
    }


def _each(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure that every run has."""
    return {
        name: sum(one[name] for one in figures) / len(figures)
        for name in figures[0]
        if all(name in f for f in figures)
    }


def _sums(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The counts of all runs, the largest first."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total.most_common())


def _slices(figures: Sequence[Mapping[str, Slice]]) -> dict[str, Slice]:
    """The means of each slice that every run has."""
    return {
        name: Slice(ex=mean(one[name]["ex"] for one in figures), low=None, high=None, n=slice["n"])
        for name, slice in figures[0].items()
        if all(name in one for one in figures)
    }


def _largest(values: Sequence[int | None]) -> int | None:
    """The largest value; None if one is unknown."""
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None
