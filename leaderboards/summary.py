"""Many records -> the one summary that ``scores.json`` keeps and the board shows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from leaderboards import alarms, samples
from leaderboards.statistics import wilson
from leaderboards.types import Record, Slice, Summary
from tasks.types import Mode

LEVELS = ("easy", "simple", "medium", "moderate", "hard", "challenging", "extra")
"""Spider's and BIRD's difficulties, from the easiest to the hardest."""


def summary(records: Sequence[Record]) -> Summary:
    """Summarise the records of one run. The interval counts questions: answers to one are not independent."""
    scored = [record for record in records if record.metric is not None]
    ran = [record for record in scored if record.executes]
    sampled = samples.measure(records)
    verdicts = {mode.value: [getattr(record, mode) for record in records] for mode in Mode}
    modes = {mode: value for mode, found in verdicts.items() if (value := mean(found)) is not None}
    return Summary(
        **part(scored),
        completions=len(records),
        unscored=len(records) - len(scored),
        unanswered=sum(record.finish == "unanswered" for record in records),
        executable=mean(float(record.executes) for record in scored),
        reward=mean(record.reward for record in records),
        tokens=mean(record.tokens for record in records),
        prompt_tokens=mean(record.prompt_tokens for record in records),
        cost=sum(record.cost for record in records),
        empty_gold=mean(float(record.gold_rows == 0) for record in ran),
        modes=modes,
        modes_unscored={mode: verdicts[mode].count(None) for mode in modes},
        pass_at=sampled["pass"],
        best_of=sampled["best"],
        majority=sampled["majority"],
        parts=parts(scored, "part"),
        difficulty=parts(scored, "difficulty"),
        reasons=dict(Counter(record.reason for record in records).most_common()),
        alarms=alarms.measure(records),
    )


def part(records: Iterable[Record]) -> Slice:
    """The headline of some records."""
    questions = [value for value in map(mean, _by_question(records).values()) if value is not None]
    interval = wilson(sum(questions), len(questions))
    low, high = interval or (None, None)
    return Slice(ex=mean(questions), low=low, high=high, n=len(questions))


def parts(records: Iterable[Record], field: str) -> dict[str, Slice]:
    """The headline for each value of a field, in the order of difficulty or of the alphabet."""
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[getattr(record, field)].append(record)
    return {name: part(groups[name]) for name in sorted(groups, key=level) if name}


def level(name: str) -> tuple[int, str]:
    """A sort key: difficulties from the easiest, then other names by the alphabet."""
    return (LEVELS.index(name) if name in LEVELS else len(LEVELS), name)


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of what was scored; None where nothing was."""
    scored = [value for value in values if value is not None]
    return sum(scored) / len(scored) if scored else None


def _by_question(records: Iterable[Record]) -> dict[str, list[float]]:
    questions: defaultdict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.metric is not None:
            questions[record.sample_id].append(record.metric)
    return questions
