"""The gain of each evaluated model over the model that it was trained from, on the questions of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboards import store
from leaderboards.pairs import DIGITS, PairedFigures, PairedTest
from leaderboards.statistics import Total, clustered_difference, mcnemar
from leaderboards.validation import HIGHEST
from tasks.common.errors import DataError
from tasks.common.terminal import say

MOST = 50
"""Gains that are computed for a board, of its newest runs: each reads the records of two runs."""
_SQL = f"""
    , verdicts AS (
        SELECT run, sample_id, database,
            CASE WHEN metric BETWEEN 0 AND {HIGHEST} THEN metric
                ELSE error('a metric is not in [0, 1]') END AS metric
        FROM records WHERE metric IS NOT NULL
    ), scores AS (
        SELECT run, sample_id, any_value(database) AS database, round(avg(metric), {DIGITS}) AS score
        FROM verdicts GROUP BY run, sample_id
    ), pairs AS (SELECT unnest($children) AS child, unnest($parents) AS parent)
    SELECT child, b.database, count(*) AS n,
        count(*) FILTER (b.score > a.score) AS wins, count(*) FILTER (b.score < a.score) AS losses,
        sum(a.score) AS a, sum(b.score) AS b, sum((b.score - a.score) ** 2) AS squares
    FROM pairs JOIN scores b ON b.run = child JOIN scores a ON a.run = parent AND a.sample_id = b.sample_id
    GROUP BY child, b.database ORDER BY child, b.database
"""


@dataclass(frozen=True, slots=True)
class Gain:
    """A model tested against its parent. The test has no interval for other questions like these."""

    parent: str
    """The run of the parent."""
    test: PairedTest

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"parent": self.parent, **self.test.as_dict()}


def gains(parents: Mapping[str, str]) -> dict[str, Gain]:
    """Run -> its gain. ``parents``: run -> the run of its parent, the newest first; only MOST are computed.

    A run whose records, or whose parent's, are damaged is named on stderr and has no gain.
    """
    chosen = dict(list(parents.items())[:MOST])
    try:
        return _query(chosen)
    except DataError:
        found: dict[str, Gain] = {}
    for child, parent in chosen.items():
        try:
            found |= _query({child: parent})
        except DataError as error:
            say(f"no gain of {child} over {parent}: {error}")
    return found


def _query(parents: Mapping[str, str]) -> dict[str, Gain]:
    runs = sorted({*parents, *parents.values()})
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in store.query(_SQL, runs, children=list(parents), parents=list(parents.values())):
        rows.setdefault(row["child"], []).append(row)
    return {child: Gain(parents[child], _test(databases)) for child, databases in rows.items()}


def _test(databases: Sequence[Mapping[str, Any]]) -> PairedTest:
    n, wins, losses = (sum(row[name] for row in databases) for name in ("n", "wins", "losses"))
    figures = PairedFigures(
        n=n,
        wins=wins,
        losses=losses,
        ties=n - wins - losses,
        ex_a=sum(row["a"] for row in databases) / n,
        ex_b=sum(row["b"] for row in databases) / n,
        p=mcnemar(wins, losses),
    )
    clusters = [Total(row["n"], row["b"] - row["a"], row["squares"]) for row in databases]
    return PairedTest(figures, None, clustered_difference(clusters))
