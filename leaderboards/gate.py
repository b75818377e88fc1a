"""Conditions on a comparison such as ``B < A``, with which continuous integration refuses a worse model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from leaderboards.compare import Comparison
from leaderboards.matrix import Matrix
from leaderboards.pairs import PairedTest
from leaderboards.statistics.significance import ALPHA, mcnemar
from leaderboards.types import Run
from tasks.common.errors import DataError, SpecError

_FORM = re.compile(r"\s*([A-Z])\s*<\s*([A-Z])\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Condition:
    """``B < A``: run ``worse`` is significantly worse than run ``than``."""

    worse: str
    than: str

    def __str__(self) -> str:
        return f"{self.worse} < {self.than}"


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition that was checked."""

    condition: str
    holds: bool
    text: str
    """The finding, in one line."""


@dataclass(frozen=True, slots=True)
class Gated:
    """A comparison with the conditions that were checked on it."""

    result: Comparison | Matrix
    gates: Sequence[Gate]

    @property
    def failed(self) -> list[Gate]:
        """The conditions that hold, for which the command fails."""
        return [gate for gate in self.gates if gate.holds]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**self.result.as_dict(), "fail_if": [asdict(gate) for gate in self.gates]}


def condition(text: str, runs: int) -> Condition:
    """The condition in a text, on so many runs. Raises SpecError: another form, or no such run."""
    match = _FORM.fullmatch(text)
    names = [chr(ord("A") + i) for i in range(runs)]
    if match is None:
        raise SpecError(f"--fail-if '{text}': write 'B < A' (B is significantly worse than A)")
    worse, than = match.groups()
    if missing := [name for name in (worse, than) if name not in names]:
        raise SpecError(f"--fail-if '{text}': there is no run {missing[0]}: the runs are {', '.join(names)}")
    if worse == than:
        raise SpecError(f"--fail-if '{text}': name two different runs, as in 'B < A'")
    return Condition(worse, than)


def check(result: Comparison | Matrix, conditions: Sequence[Condition]) -> Gated:
    """Check conditions: one holds if McNemar's test at the 5 % level says that the run is worse.

    Raises DataError: so few questions were scored in both runs of a condition that it can never hold.
    """
    runs = _runs(result)
    return Gated(result, [_gate(result, one, runs) for one in conditions])


def _gate(result: Comparison | Matrix, one: Condition, runs: Mapping[str, Run]) -> Gate:
    a, b = sorted((one.worse, one.than))
    figures = _test(result, a, b).figures
    tests = len(result.cells) if isinstance(result, Matrix) else 1
    if tests * mcnemar(0, figures.n) >= ALPHA:
        scored = f"{figures.n} questions were" if figures.n else "no question was"
        raise DataError(f"--fail-if '{one}': {scored} scored in both runs, too few to find a difference")
    holds = figures.outcome == ("worse" if one.worse == b else "better")
    difference = (figures.difference or 0.0) * (1 if one.worse == b else -1)
    left_out = f" ({result.left_out:,} left out)" if result.left_out else ""
    found = (
        f"{100 * difference:+.1f} points on {figures.n:,} questions{left_out}, p = {figures.corrected:.2g}"
    )
    verb = "is significantly worse than" if holds else "is not significantly worse than"
    worse, than = (f"{name} ({runs[name].label})" for name in (one.worse, one.than))
    return Gate(str(one), holds, f"{worse} {verb} {than}: {found}")


def _test(result: Comparison | Matrix, a: str, b: str) -> PairedTest:
    return result.cell(a, b).test if isinstance(result, Matrix) else result.test


def _runs(result: Comparison | Matrix) -> dict[str, Run]:
    if isinstance(result, Matrix):
        return {entry.name: entry.run for entry in result.entries}
    return {"A": result.a, "B": result.b}
