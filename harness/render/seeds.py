"""Runs that differ only in seeds, as one row of a board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """The newest row with the means of all, and the interval of the mean over seeds."""
    newest = rows[0]

    def over(figure: Callable[[Summary], float | None]) -> float | None:
        return mean(figure(row.summary) for row in rows)

    summaries = [row.summary for row in rows]
    names = [name for name in newest.summary["parts"] if all(name in one["parts"] for one in summaries)]
    modes = [name for name in newest.summary["modes"] if all(name in one["modes"] for one in summaries)]
    summary: Summary = {
        **newest.summary,
        "ex": recipe.ex.mean,
        "low": recipe.ex.low,
        "high": recipe.ex.high,
        "n": newest.summary["n"],
        "unscored": sum(one["unscored"] for one in summaries),
        "modes": {name: mean(one["modes"][name] for one in summaries) or 0.0 for name in modes},
        "executable": over(lambda figures: figures["executable"]),
        "reward": over(lambda figures: figures["reward"]),
        "success": over(lambda figures: figures.get("success")),
        "perfect": over(lambda figures: figures.get("perfect")),
        "tokens": over(lambda figures: figures["tokens"]),
        "parts": {name: _part([one["parts"][name] for one in summaries]) for name in names},
    }
    run = replace(newest.run, seconds=sum(row.run.seconds for row in rows))
    tags = tuple(sorted({tag for row in rows for tag in row.tags}))
    return replace(newest, run=run, summary=summary, tags=tags)


def _part(slices: Sequence[Slice]) -> Slice:
    return Slice(ex=mean(one["ex"] for one in slices), low=None, high=None, n=slices[0]["n"])
