"""What the page shows: evaluations in groups of comparable ones, with records, curves and comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from leaderboards import store, summary
from leaderboards.board import Board, BoardGroup, BoardRow
from leaderboards.compare import Comparison, compare
from leaderboards.identity import identity_of
from leaderboards.types import Record, Run, Slice, Summary, label
from tasks.common.digests import digest_of
from tasks.common.errors import DataError

SUCCESS = 0.5
"""An answer with a greater reward is a success."""
PERFECT = 0.95
"""An answer with a greater reward is perfect."""
Slices = Mapping[str, Mapping[str, Slice]]
"""Field -> value -> headline figures of the questions with this value."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One finished evaluation. ``success`` and ``perfect``: shares of the scored answers, by reward."""

    row: BoardRow
    records: Sequence[Record] = field(repr=False)
    curve: Sequence[Mapping[str, Any]] = field(repr=False)
    """Of the training that made the model; empty if it is not under this HARNESS_HOME."""
    slices: Slices
    success: float | None
    perfect: float | None

    @property
    def run(self) -> Run:
        return self.row.run

    @property
    def summary(self) -> Summary:
        return self.row.summary

    @property
    def parent_label(self) -> str:
        return label(self.run.parent) if self.run.parent else ""

    @property
    def origin(self) -> str:
        """How the model was made, and how it was asked."""
        run = self.run
        words = [f"{run.method or 'trained'} of {self.parent_label}" if run.parent else run.method]
        if temperature := run.sampling.get("temperature"):
            words.append(f"temperature {temperature}")
        if turns := run.sampling.get("turns"):
            words.append(f"{turns} turns")
        if run.limit:
            words.append(f"{run.limit:,} asked")
        return " · ".join(filter(None, words))

    @property
    def settings(self) -> dict[str, Any]:
        """What reproduces the run."""
        run = self.run
        return {"sampling": run.sampling, "spec": run.spec, "versions": run.versions, "commit": run.commit}


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of a lineage. ``gain``: compared with the stage before; None for the first."""

    run: Evaluated
    gain: Comparison | None


@dataclass(frozen=True, slots=True)
class Group:
    """Comparable evaluations, the best first."""

    key: BoardGroup
    runs: Sequence[Evaluated]
    comparisons: Sequence[Comparison]
    """Every two of the runs, the lower ranked as A."""
    lineages: Sequence[Sequence[Stage]]
    """Models trained from one another, from the base on."""

    @property
    def part_names(self) -> list[str]:
        """The parts of the split that some run has."""
        return sorted({name for run in self.runs for name in run.summary["parts"]})

    @property
    def has_cost(self) -> bool:
        return any(run.summary["cost"] for run in self.runs)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that is going on, or that was stopped."""

    run: Run
    records: Sequence[Record] = field(repr=False)
    curve: Sequence[Mapping[str, Any]] = field(repr=False)
    slices: Slices


@dataclass(frozen=True, slots=True)
class Page:
    """All of the page. The group with the newest run comes first."""

    groups: Sequence[Group]
    unfinished: Sequence[Unfinished]
    hidden: int
    """Older runs that repeat one shown."""

    @property
    def runs(self) -> list[Evaluated]:
        return [run for group in self.groups for run in group.runs]


def page(board: Board) -> Page:
    """The page of a board. A run whose records are damaged is left out, with a line on stderr."""
    groups = [_group(key, rows) for key, rows in reversed(board.groups.items())]
    unfinished = [_unfinished(run) for run in store.runs() if not run.finished]
    return Page([group for group in groups if group.runs], unfinished, board.hidden)


def _group(key: BoardGroup, rows: Sequence[BoardRow]) -> Group:
    runs = [run for row in rows if (run := _evaluated(row)) is not None]
    comparisons = [compare(low.run.id, high.run.id) for high, low in combinations(runs, 2)]
    return Group(key, runs, comparisons, _lineages(runs))


def _evaluated(row: BoardRow) -> Evaluated | None:
    try:
        records = store.records(row.run.id)
    except DataError as error:
        store.leave_out(row.run.id, error)
        return None
    rewards = [record.reward for record in records if record.reward is not None]
    return Evaluated(
        row,
        records,
        _curve(row.run.trained_by),
        _slices(records),
        _share(rewards, SUCCESS),
        _share(rewards, PERFECT),
    )


def _share(rewards: Sequence[float], above: float) -> float | None:
    return sum(reward > above for reward in rewards) / len(rewards) if rewards else None


def _curve(run_id: str) -> list[dict[str, Any]]:
    try:
        return store.curve(run_id) if run_id else []
    except (DataError, OSError, ValueError) as error:
        store.leave_out(run_id, error)
        return []


def _slices(records: Iterable[Record]) -> Slices:
    scored = [record for record in records if record.metric is not None]
    fields = {name: summary.parts(scored, name) for name in ("part", "difficulty", "database")}
    return {name: values for name, values in fields.items() if values}


def _unfinished(run: Run) -> Unfinished:
    return Unfinished(run, [], _curve(run.id), {})


def _lineages(runs: Sequence[Evaluated]) -> list[list[Stage]]:
    """A chain for each model that none of the others was trained from, if it has a parent among them."""
    by_model: dict[str, Evaluated] = {}
    for run in reversed(runs):
        by_model |= dict.fromkeys(_names(run.run), run)
    parents = {run.run.id: by_model.get(run.run.parent_content or run.run.parent) for run in runs}
    inner = {parent.run.id for parent in parents.values() if parent}
    chains = [_chain(run, parents) for run in runs if run.run.id not in inner and parents[run.run.id]]
    return [_stages(chain) for chain in chains]


def _names(run: Run) -> tuple[str, ...]:
    """The names by which a run of a model trained from this one may refer to it."""
    identity = identity_of(run)
    return (run.model, digest_of(identity.model)) if identity else (run.model,)


def _chain(last: Evaluated, parents: Mapping[str, Evaluated | None]) -> list[Evaluated]:
    chain = [last]
    while (parent := parents[chain[0].run.id]) and parent not in chain:
        chain.insert(0, parent)
    return chain


def _stages(chain: Sequence[Evaluated]) -> list[Stage]:
    first, *others = chain
    gains = [compare(before.run.id, after.run.id) for before, after in zip(chain, others, strict=False)]
    return [Stage(first, None), *(Stage(run, gain) for run, gain in zip(others, gains, strict=True))]
