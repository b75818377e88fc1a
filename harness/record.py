"""One judged completion as the leaderboard keeps it."""

from __future__ import annotations

import json

from leaderboards.types import Record
from rewards.types import Grade
from runners.types import Completion, Request
from tasks.task import Task
from tasks.types import Mode


def record_of(task: Task, request: Request, number: int, completion: Completion, grade: Grade) -> Record:
    """The record of a request's ``number``-th completion: unscored where the runner failed to draw it."""
    sample, attempt = request.sample, grade.attempt
    failed = completion.finish in ("failed", "error")
    verdicts = {} if failed else attempt.verdicts
    reward = grade.scores["reward"]
    return Record(
        sample_id=sample.id,
        question=sample.question,
        database=sample.database,
        completion=completion.text,
        reason="infrastructure" if failed else attempt.reason.value,
        sample_index=number,
        difficulty=sample.difficulty,
        part=sample.part,
        family=sample.family,
        prompt=json.dumps(request.messages + completion.history, ensure_ascii=False),
        sql=attempt.sql,
        gold=sample.gold[0],
        detail=attempt.detail if completion.finish in ("stop", "length") else completion.error,
        metric=verdicts.get(task.spec.scoring.metric),
        **{mode.value: verdicts.get(mode.value) for mode in Mode},
        reward=None if failed else reward.value,
        parts=json.dumps({name: score.value for name, score in grade.scores.items()}),
        executes=attempt.executes,
        rows=attempt.rows,
        gold_rows=attempt.gold_rows,
        columns=attempt.columns,
        gold_columns=attempt.gold_columns,
        prompt_tokens=completion.prompt_tokens,
        tokens=completion.tokens,
        seconds=completion.seconds,
        finish=completion.finish,
        logprob=completion.logprob,
        cost=completion.cost,
        result=attempt.result,
        examples=json.dumps([example.id for example in task.examples(sample)]),
    )
