"""Result tables of gold and answers for the page: which questions are run again, and what comes of it.

Running every answer again would take as long as judging it, so a file holds the tables of some questions: of
those on which the stages of a lineage differ, else the two best runs, else of wrong answers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.page.views import Evaluated, Group

if TYPE_CHECKING:
    from harness.results import Results

ANSWERS = 800
"""Answers of each group that are run again for a file."""
SAMPLES = 4
"""The first answers of a run to a question that are run again."""
Tables = dict[str, dict[str, list[dict[str, Any]]]]
"""Question id -> run id -> the results of each answer, in order."""


def chosen(group: Group, answers: int = ANSWERS) -> list[str]:
    """A fixed random choice of the most telling questions, which have at most so many answers."""
    most = answers // sum(_samples(run) for run in group.opened) if group.opened else 0
    ids: list[str] = []
    for candidates in _candidates(group):
        new = [sample_id for sample_id in candidates if sample_id not in ids]
        ids += random.Random(0).sample(new, min(most - len(ids), len(new)))
    return ids


def _samples(run: Evaluated) -> int:
    """How many answers to a question of a run are run again."""
    return min(SAMPLES, max(map(len, run.answers.values())))


def _candidates(group: Group) -> Iterator[list[str]]:
    gains = [stage.gain for lineage in group.lineages for stage in reversed(lineage) if stage.gain]
    for comparison in [*gains, *list(group.comparisons.values())[:1]]:
        yield [pair.sample_id for pair in comparison.pairs if pair.a != pair.b]
    for run in group.opened[:1]:
        yield [key for key, records in run.answers.items() if any(r.metric == 0 for r in records)]


def tables(group: Group, sample_ids: Sequence[str], trust: bool = False) -> Tables:
    """The results of all runs' answers to these questions. What is missing is named in the results."""
    made: Tables = {sample_id: {} for sample_id in sample_ids}
    for run in group.opened:
        for sample_id, found in _of_run(run, sample_ids, trust).items():
            made[sample_id][run.run.id] = [one.as_dict() for one in found]
    return made


def _of_run(run: Evaluated, sample_ids: Sequence[str], trust: bool) -> Mapping[str, list[Results]]:
    records = [record for key in sample_ids for record in run.answers.get(key, [])[:SAMPLES]]
    if not records:
        return {}
    from harness.results import results  # here, because a page without tables needs no task

    made: dict[str, list[Results]] = {}
    for record, result in zip(records, results(run.run, records, trust=trust), strict=True):
        made.setdefault(record.sample_id, []).append(result)
    return made
