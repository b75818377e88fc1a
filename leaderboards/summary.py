"""Summarise records, with one or several answers to a question, for ``scores.json`` and the board.

The headline is ``mean@k``: a question counts as the mean of its answers.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from leaderboards import alarms
from leaderboards.statistics import best_of_k, clustered_share, pass_at_k, totals, wilson
from leaderboards.types import Clustered, Record, Slice, Summary
from tasks.types import Mode

SUCCESS = 0.5
"""An answer with a greater reward is a success."""
PERFECT = 0.95
"""An answer with a greater reward is perfect."""
LEVELS = ("easy", "simple", "medium", "moderate", "hard", "challenging", "extra")
"""Spider's and BIRD's difficulties, from the easiest to the hardest."""


def summary(records: Sequence[Record]) -> Summary:
    """Summarise the records of one run. The interval counts questions: answers to one are not independent."""
    scored = [record for record in records if record.metric is not None]
    ran = [record for record in scored if record.executes]
    sampled = several_answers(records)
    verdicts = {mode.value: [getattr(record, mode) for record in records] for mode in Mode}
    modes = {mode: value for mode, values in verdicts.items() if (value := mean(values)) is not None}
    return Summary(
        **part(scored),
        completions=len(records),
        unscored=len(records) - len(scored),
        unanswered=sum(record.finish == "unanswered" for record in records),
        executable=mean(float(record.executes) for record in scored),
        reward=mean(record.reward for record in records),
        success=_over(SUCCESS, records),
        perfect=_over(PERFECT, records),
        clustered=_clustered(scored),
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
        security=mean(float(not record.flags) for record in records if record.flags is not None),
        flags=dict(Counter(flag for record in records for flag in _flags(record)).most_common()),
        reasons=dict(Counter(record.reason for record in records).most_common()),
        alarms=alarms.measure(records),
    )


def _flags(record: Record) -> list[str]:
    return record.flags.split(",") if record.flags else []


def _over(limit: float, records: Iterable[Record]) -> float | None:
    """The share of the rewarded answers with a reward over a limit."""
    return mean(float(record.reward > limit) for record in records if record.reward is not None)


def _clustered(scored: Sequence[Record]) -> Clustered | None:
    """The interval of the headline for other databases."""
    databases = {record.sample_id: record.database for record in scored}
    means = {sample_id: fmean(values) for sample_id, values in _by_question(scored).items()}
    found = clustered_share(totals(means.values(), (databases[sample_id] for sample_id in means)))
    if found is None:
        return None
    return Clustered(
        low=found.low,
        high=found.high,
        clusters=found.clusters,
        effective=found.effective,
        design_effect=found.design_effect,
    )


def part(records: Iterable[Record]) -> Slice:
    """The headline figures of these records."""
    questions = [value for value in map(mean, _by_question(records).values()) if value is not None]
    interval = wilson(sum(questions), len(questions))
    low, high = interval or (None, None)
    return Slice(ex=mean(questions), low=low, high=high, n=len(questions))


def parts(records: Iterable[Record], field: str) -> dict[str, Slice]:
    """The headline figures for each value of a field, ordered by difficulty or alphabetically."""
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[getattr(record, field)].append(record)
    return {name: part(groups[name]) for name in sorted(groups, key=level) if name}


def level(name: str) -> tuple[int, str]:
    """A sort key: difficulties from the easiest, then other names alphabetically."""
    return (LEVELS.index(name) if name in LEVELS else len(LEVELS), name)


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are not None; None if there are none."""
    scored = [value for value in values if value is not None]
    return sum(scored) / len(scored) if scored else None


def _by_question(records: Iterable[Record]) -> dict[str, list[float]]:
    questions: defaultdict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.metric is not None:
            questions[record.sample_id].append(record.metric)
    return questions


def by_question(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The scored answers to each question, in the order in which they were drawn."""
    questions: defaultdict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.key):
        if record.metric is not None:
            questions[record.sample_id].append(record)
    return dict(questions)


def majority(answers: Sequence[Record]) -> Record:
    """The answer that a majority vote picks (self-consistency, Wang et al. 2022; here over executed rows).

    Each answer that ran votes for its result. Ties are decided by the log-probability of the likeliest
    answer, then by the order of drawing. Returns the likeliest answer with the winning
    result; if none ran, the likeliest of all.
    """
    votes: defaultdict[str, list[Record]] = defaultdict(list)
    for answer in answers:
        if answer.executes:
            votes[answer.result].append(answer)
    groups = list(votes.values()) or [list(answers)]
    return _likeliest(max(groups, key=lambda group: (len(group), _log_probability(_likeliest(group)))))


def _likeliest(answers: Sequence[Record]) -> Record:
    return max(answers, key=_log_probability)


def _log_probability(answer: Record) -> float:
    return -math.inf if answer.logprob is None else answer.logprob


def several_answers(records: Iterable[Record]) -> dict[str, dict[str, float]]:
    """``pass``, ``best`` and ``majority``: k -> the mean over questions; empty with one answer a question.

    pass@k and best-of-k are unbiased, for k = 1, 2, 4, ... up to the fewest scored answers of any question;
    majority votes over all answers to a question, and its k is the largest number of them.
    """
    questions = by_question(records)
    counts = [len(answers) for answers in questions.values()]
    if max(counts, default=0) < 2:
        return {"pass": {}, "best": {}, "majority": {}}
    ks = [2**i for i in range(min(counts).bit_length())]
    return {
        "pass": {str(k): fmean(_pass_at(answers, k) for answers in questions.values()) for k in ks},
        "best": {str(k): fmean(_best_of(answers, k) for answers in questions.values()) for k in ks},
        "majority": {str(max(counts)): fmean(_voted(questions).values())},
    }


def _pass_at(answers: Sequence[Record], k: int) -> float:
    return pass_at_k(len(answers), sum(answer.metric == 1 for answer in answers), k)


def _best_of(answers: Sequence[Record], k: int) -> float:
    return best_of_k([(answer.reward or 0.0, answer.metric or 0.0) for answer in answers], k)


def _voted(questions: Mapping[str, Sequence[Record]]) -> dict[str, float]:
    return {question: majority(answers).metric or 0.0 for question, answers in questions.items()}
