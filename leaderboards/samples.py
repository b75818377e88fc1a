"""Several answers to one question: what is gained by asking more than once.

``mean@k`` is the headline itself: a question counts by the mean of its answers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from leaderboards.statistics import best_of_k, pass_at_k
from leaderboards.types import Record


def by_question(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The scored answers to each question, in the order in which they were drawn."""
    questions: defaultdict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.key):
        if record.metric is not None:
            questions[record.sample_id].append(record)
    return dict(questions)


def majority(answers: Sequence[Record]) -> Record:
    """The answer that a vote of results picks (Wang et al. 2022, self-consistency; here over executed rows).

    Answers that ran vote for their result; equal votes are settled by the likeliest answer's log-probability,
    then by which was drawn first. Of the winning result the likeliest answer speaks; where nothing ran, the
    likeliest of all.
    """
    votes: defaultdict[str, list[Record]] = defaultdict(list)
    for answer in answers:
        if answer.executes:
            votes[answer.result].append(answer)
    groups = list(votes.values()) or [list(answers)]
    return _likeliest(max(groups, key=lambda group: (len(group), _logprob(_likeliest(group)))))


def _likeliest(answers: Sequence[Record]) -> Record:
    return max(answers, key=_logprob)


def _logprob(answer: Record) -> float:
    return -math.inf if answer.logprob is None else answer.logprob


def measure(records: Iterable[Record]) -> dict[str, dict[str, float]]:
    """``pass``, ``best`` and ``majority``: k -> the mean over questions, where several answers were drawn.

    pass@k and best-of-k are unbiased, for k = 1, 2, 4, ... up to the fewest scored answers of any question;
    majority is over all answers to a question, its k being the most of them.
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
