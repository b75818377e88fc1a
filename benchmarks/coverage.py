"""How often the intervals and tests of ``leaderboards/statistics`` are right, by simulation.

    OMP_NUM_THREADS=1 python benchmarks/coverage.py

Questions are drawn from a known truth: their databases have the sizes of Spider's and BIRD's dev split,
pocket's test split, or eight small databases, and the share of right answers in a database varies by a beta
distribution with the given correlation within databases (ICC). A row gives how often a nominal 95 % interval
holds the truth, or how often a test at the 5 % level finds a difference that does not exist. The row is the
mean over its cases; beside it are its lowest and highest case. Exits with 1 if a row misses its bar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

from leaderboards.statistics import (
    Total,
    bootstrap,
    clustered_difference,
    clustered_share,
    detectable,
    holm,
    mcnemar,
    tango,
    wilson,
)

SIZES = {
    "Spider dev": (4, 15, 16, 18, 30, 30, 38, 40, 40, 42, 45, 56, 62, 62, 78, 80, 82, 84, 92, 120),
    "BIRD dev": (64, 89, 106, 129, 129, 145, 158, 163, 174, 186, 191),
    "pocket test": (78, 79, 88, 88, 88, 88, 95, 98, 98, 100, 148, 152),
    "8 of 25": (25,) * 8,
}
"""Questions of each database."""
CORRELATIONS = (0.02, 0.1, 0.3)
SHARES = (0.3, 0.5, 0.7, 0.85)
DISCORDANT = (0.08, 0.2)
"""Share of questions that only one of two runs gets right."""
RARE = (0.002, 0.005, 0.02)
"""The same, where often no question is discordant, so that 95 % cannot be met, only exceeded."""
REPEATS = 1000
"""Draws of one case with databases."""
COVERED = (0.94, 0.96)
NOT_LESS = (0.94, 1.0)
FALSE = (0.0, 0.05)


@dataclass
class Row:
    """One statistic: what it is, the bar for its mean, and the rate in each case."""

    name: str
    bar: tuple[float, float] | None
    rates: list[float]

    @property
    def missed(self) -> bool:
        return self.bar is not None and not self.bar[0] <= float(np.mean(self.rates)) <= self.bar[1]

    def __str__(self) -> str:
        bar = f"{100 * self.bar[0]:g} to {100 * self.bar[1]:g}" if self.bar else "-"
        mean, low, high = np.mean(self.rates), min(self.rates), max(self.rates)
        return f"| {self.name} | {100 * mean:.1f} | {100 * low:.1f} | {100 * high:.1f} | {bar} |"


def main() -> int:
    """Print the table. Returns 1 if a bar is missed."""
    random = np.random.default_rng(12)
    rows = [row for part in (plain, clustered, tests) for row in part(random)]
    print("| | mean % | lowest % | highest % | bar |\n|---|---|---|---|---|")
    print(*rows, sep="\n")
    return int(any(row.missed for row in rows))


def plain(random: np.random.Generator) -> Iterator[Row]:
    """Independent questions: Wilson's interval, Tango's, and the paired bootstrap of several answers."""
    rates = []
    for n in (100, 300, 1000):
        for share in np.arange(0.05, 0.96, 0.01):
            found, counts = np.unique(random.binomial(n, share, 4000), return_counts=True)
            held = [holds(wilson(int(right), n), share) for right in found]
            rates.append(float(np.dot(held, counts) / counts.sum()))
    yield Row("Wilson, independent questions", COVERED, rates)
    for name, shares, bar in (("", DISCORDANT, COVERED), (", few discordant", RARE, NOT_LESS)):
        rates = []
        for n in (100, 300, 1000):
            for discordant in shares:
                for won in (0.5, 0.65):
                    cases = [paired(random, (n,), discordant, won, 0.0) for _ in range(1000)]
                    ends = [score_interval(n, *wins_and_losses(case)) for case in cases]
                    rates.append(float(np.mean([holds(one, discordant * (2 * won - 1)) for one in ends])))
        yield Row(f"Tango, paired difference{name}", bar, rates)
    rates = []
    for n in (300, 1000):
        for power in (1.0, 0.5):  # B answers a question right with this power of A's probability
            truth = 1 / (power + 1) - 1 / 2
            draws = [answered(random, n, power) for _ in range(500)]
            rates.append(float(np.mean([holds(bootstrap(one), truth) for one in draws])))
    yield Row("paired bootstrap, 4 answers a question", COVERED, rates)


def clustered(random: np.random.Generator) -> Iterator[Row]:
    """Questions in databases: a share and a paired difference, beside what ignores the databases."""
    for icc in CORRELATIONS:
        plain_rates, rates = [], []
        for sizes in SIZES.values():
            for share in SHARES:
                draws = [right(random, sizes, share, icc) for _ in range(REPEATS)]
                rates.append(covered(map(clustered_share, draws), share))
                counts = [(sum(one.total for one in draw), sum(sizes)) for draw in draws]
                plain_rates.append(float(np.mean([holds(wilson(*count), share) for count in counts])))
        yield Row(f"Wilson, questions in databases, ICC {icc:g}", None, plain_rates)
        yield Row(f"clustered share, ICC {icc:g}", COVERED, rates)
    for icc in (0.0, *CORRELATIONS):
        rates = []
        for sizes in SIZES.values():
            for discordant in DISCORDANT:
                for won in (0.5, 0.65):
                    cases = [paired(random, sizes, discordant, won, icc) for _ in range(REPEATS)]
                    rates.append(covered(map(clustered_difference, cases), discordant * (2 * won - 1)))
        bar = COVERED if icc < max(CORRELATIONS) else None
        yield Row(f"clustered paired difference, ICC {icc:g}", bar, rates)


def tests(random: np.random.Generator) -> Iterator[Row]:
    """McNemar's test of equal runs, Holm's correction over five equal runs, and the promised power."""
    false, databases, power = [], [], []
    for n in (100, 300, 1000):
        for discordant in (0.02, *DISCORDANT):
            false.append(rejected(random, n, discordant, 0.0))
            difference = detectable(n, discordant)
            if difference is not None and difference <= discordant:
                power.append(rejected(random, n, discordant, difference))
    for sizes in SIZES.values():
        for icc in CORRELATIONS:
            cases = [paired(random, sizes, 0.2, 0.5, icc) for _ in range(400)]
            tested = [p_value(*wins_and_losses(case)) < 0.05 for case in cases]
            databases.append(float(np.mean(tested)))
    yield Row("McNemar, false positives", FALSE, false)
    yield Row("McNemar, false positives for other databases", None, databases)
    yield Row("McNemar, power at the detectable difference", None, power)
    alone, together = family(random)
    yield Row("10 pairs of 5 equal runs, any false positive", None, [alone])
    yield Row("the same with Holm's correction", FALSE, [together])


def family(random: np.random.Generator, repeats: int = 2000) -> tuple[float, float]:
    """How often any pair of five equally good runs differs significantly, with and without correction."""
    alone = together = 0
    for _ in range(repeats):
        easy = random.beta(1.0, 1.0, 300)  # questions are easy or hard for all runs alike
        answers = random.random((5, 300)) < easy
        ps = []
        for a, b in combinations(answers, 2):
            ps.append(p_value(int((b & ~a).sum()), int((a & ~b).sum())))
        alone += min(ps) < 0.05
        together += min(holm(ps)) < 0.05
    return alone / repeats, together / repeats


def right(random: np.random.Generator, sizes: Sequence[int], share: float, icc: float) -> list[Total]:
    """Right answers to the questions of each database."""
    counts = random.binomial(sizes, varied(random, share, icc, len(sizes)))
    return [Total(n, float(count), float(count)) for n, count in zip(sizes, counts, strict=True)]


def paired(
    random: np.random.Generator, sizes: Sequence[int], discordant: float, won: float, icc: float
) -> list[Total]:
    """Differences of two runs on the questions of each database: +1, -1 or 0."""
    different = random.binomial(sizes, varied(random, discordant, icc, len(sizes)))
    wins = random.binomial(different, varied(random, won, icc, len(sizes)))
    return [
        Total(n, float(2 * w - d), float(d))
        for n, d, w in zip(sizes, different.tolist(), wins.tolist(), strict=True)
    ]


def varied(random: np.random.Generator, mean: float, icc: float, count: int) -> np.ndarray:
    """Probabilities that vary between databases with this mean, and this correlation within a database."""
    if icc == 0:
        return np.full(count, mean)
    size = (1 - icc) / icc
    return random.beta(mean * size, (1 - mean) * size, count)


def answered(random: np.random.Generator, n: int, power: float, answers: int = 4) -> list[float]:
    """Differences of two runs' mean scores on questions that are right with a probability of any size."""
    easy = random.random(n)
    b, a = (random.binomial(answers, chance) / answers for chance in (easy**power, easy))
    return list((b - a).tolist())


def wins_and_losses(case: Sequence[Total]) -> tuple[int, int]:
    """The questions won and lost in all databases."""
    different, difference = sum(one.squares for one in case), sum(one.total for one in case)
    return round((different + difference) / 2), round((different - difference) / 2)


def rejected(random: np.random.Generator, n: int, discordant: float, difference: float) -> float:
    """How often McNemar's test finds a difference of two runs."""
    won = (1 + difference / discordant) / 2
    cases = (paired(random, (n,), discordant, won, 0.0) for _ in range(4000))
    return float(np.mean([p_value(*wins_and_losses(case)) < 0.05 for case in cases]))


score_interval: Callable[[int, int, int], tuple[float, float]] = lru_cache(maxsize=None)(tango)
p_value: Callable[[int, int], float] = lru_cache(maxsize=None)(mcnemar)


def holds(interval: tuple[float, float] | None, truth: float) -> bool:
    """Whether an interval holds the truth."""
    assert interval is not None
    return interval[0] <= truth <= interval[1]


def covered(intervals: Iterator[object], truth: float) -> float:
    """The share of clustered intervals that hold the truth."""
    return float(np.mean([holds((one.low, one.high), truth) for one in intervals]))  # type: ignore[attr-defined]


if __name__ == "__main__":
    raise SystemExit(main())
