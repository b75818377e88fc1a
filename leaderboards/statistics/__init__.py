"""Confidence intervals, tests and estimators over questions and answers. Every function is pure."""

from leaderboards.statistics.estimators import best_of_k, pass_at_k
from leaderboards.statistics.intervals import (
    ClusteredInterval,
    Interval,
    Spread,
    Total,
    clustered_difference,
    clustered_share,
    spread,
    totals,
    wilson,
)
from leaderboards.statistics.paired import bootstrap, paired_difference, tango
from leaderboards.statistics.significance import detectable, holm, mcnemar

__all__ = [
    "ClusteredInterval",
    "Interval",
    "Spread",
    "Total",
    "best_of_k",
    "bootstrap",
    "clustered_difference",
    "clustered_share",
    "detectable",
    "holm",
    "mcnemar",
    "paired_difference",
    "pass_at_k",
    "spread",
    "tango",
    "totals",
    "wilson",
]
