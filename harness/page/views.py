"""What the page shows: evaluations in groups of comparable ones, with records, curves and comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any

from leaderboards.board import BoardGroup, BoardRow
from leaderboards.compare import Comparison, comparison
from leaderboards.pairs import AnswersByQuestion
from leaderboards.seeds import Recipe
from leaderboards.slices import by_slice, engine_of
from leaderboards.types import Record, Run, Slice, Summary, label


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One finished evaluation. ``answers``: question id -> its records; empty where they are left out."""

    row: BoardRow
    answers: AnswersByQuestion = field(default_factory=dict, repr=False)
    curve: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    """Of the training that made the model; empty if it is not under this HARNESS_HOME."""

    @property
    def run(self) -> Run:
        return self.row.run

    @property
    def summary(self) -> Summary:
        return self.row.summary

    @property
    def records(self) -> list[Record]:
        return [record for records in self.answers.values() for record in records]

    @property
    def slices(self) -> dict[str, dict[str, Slice]]:
        """Field -> slice -> headline figures."""
        scored = [record for record in self.records if record.metric is not None]
        return by_slice(scored, engine_of(self.run))

    @property
    def parent_label(self) -> str:
        return label(self.run.parent) if self.run.parent else ""

    @property
    def origin(self) -> str:
        """How the model was made, and how it was asked."""
        run = self.run
        made = f"{run.method or 'trained'} of {self.parent_label}" if run.parent else run.method
        return " · ".join(filter(None, [made, *run.unusual]))

    @property
    def template(self) -> str:
        """The name of the template of the prompts; "" if the run does not say it."""
        task = self.run.spec.get("task")
        prompt = task.get("prompt") if isinstance(task, Mapping) else None
        return str(prompt.get("template", "")) if isinstance(prompt, Mapping) else ""

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
    comparisons: Mapping[tuple[str, str], Comparison]
    """(id of A, id of B) -> B compared with A, for every two runs with answers; A is ranked lower."""
    lineages: Sequence[Sequence[Stage]]
    """Models trained from one another, from the base on."""
    recipes: Sequence[Recipe] = ()
    """Several runs that differ only in seeds."""

    @property
    def opened(self) -> list[Evaluated]:
        """The runs that can be opened in the page."""
        return [run for run in self.runs if run.answers]

    @property
    def labels(self) -> dict[str, str]:
        """Id -> label of each run."""
        return {run.run.id: run.run.label for run in self.runs}

    @property
    def names(self) -> dict[str, str]:
        """Id -> label of each run; of runs with one label also how each was asked, or its id."""
        asked = {run.run.id: " · ".join([run.run.label, *run.run.unusual]) for run in self.runs}
        labels, texts = list(self.labels.values()), list(asked.values())
        return {
            run: label if labels.count(label) == 1 else text if texts.count(text) == 1 else f"{label} · {run}"
            for (run, label), text in zip(self.labels.items(), texts, strict=True)
        }

    @property
    def part_names(self) -> list[str]:
        """The parts of the split that some run has."""
        return sorted({name for run in self.runs for name in run.summary["parts"]})


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that is going on, or that was stopped."""

    run: Run
    curve: Sequence[Mapping[str, Any]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """All of the page. The group with the newest run comes first."""

    groups: Sequence[Group]
    unfinished: Sequence[Unfinished]
    hidden: int
    """Older runs that repeat one shown."""
    version: str = ""
    """Changes with the stored runs; "" where nothing follows them."""

    def versions(self, group: Group) -> str:
        """How a group differs from the others of its task, split and mode; "" if it is the only one."""
        alike = [other.key for other in self.groups if _question(other.key) == _question(group.key)]
        if len(alike) < 2:
            return ""
        names = {"task": "task_digest", "scorer": "scorer_version", "databases": "databases"}
        return " · ".join(
            f"{name} {getattr(group.key, field)[:8] or 'newest'}"
            for name, field in names.items()
            if len({getattr(key, field) for key in alike}) > 1
        )

    @property
    def closed(self) -> int:
        """Runs on the board whose answers are left out."""
        return sum(len(group.runs) - len(group.opened) for group in self.groups)


def _question(key: BoardGroup) -> tuple[str, str, str]:
    return key.task, key.split, key.metric


def group_of(key: BoardGroup, runs: Sequence[Evaluated], recipes: Sequence[Recipe] = ()) -> Group:
    """A group of the page, with every comparison of its runs."""
    opened = [run for run in runs if run.answers]
    comparisons = {
        (low.run.id, high.run.id): comparison(low.run, high.run, low.answers, high.answers)
        for high, low in combinations(opened, 2)
    }
    return Group(key, runs, comparisons, lineages(opened, comparisons), recipes)


def lineages(
    runs: Sequence[Evaluated], comparisons: Mapping[tuple[str, str], Comparison]
) -> list[list[Stage]]:
    """A chain for each model that none of the others was trained from, if it has a parent among them.

    First those whose stages were asked alike.
    """
    by_id = {run.run.id: run for run in runs}
    parents = {run.run.id: by_id.get(run.row.gain.parent) if run.row.gain else None for run in runs}
    inner = {parent.run.id for parent in parents.values() if parent}
    chains = [_chain(run, parents) for run in runs if run.run.id not in inner and parents[run.run.id]]
    found = [_stages(chain, comparisons) for chain in chains]
    return sorted(found, key=lambda stages: any(stage.gain and stage.gain.differ for stage in stages))


def _chain(last: Evaluated, parents: Mapping[str, Evaluated | None]) -> list[Evaluated]:
    chain = [last]
    while (parent := parents[chain[0].run.id]) and parent not in chain:
        chain.insert(0, parent)
    return chain


def _stages(chain: Sequence[Evaluated], comparisons: Mapping[tuple[str, str], Comparison]) -> list[Stage]:
    stages = [Stage(chain[0], None)]
    for before, after in pairwise(chain):
        known = comparisons.get((before.run.id, after.run.id))
        gain = known or comparison(before.run, after.run, before.answers, after.answers)
        stages.append(Stage(after, gain))
    return stages
