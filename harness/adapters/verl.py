"""verl: a task as its parquet files, and our grader as its reward function.

verl 0.9 calls ``compute_score_async`` from the event loops of its reward workers, or ``compute_score`` from
their threads; ``compute_score_batch`` is for managers that score a whole batch (``BatchRewardManager``).

An unscored answer is an error, by which verl drops that answer alone (``AgentLoopWorkerTQ._run_prompt``
collects the errors of a group's answers, and the group goes on without them).
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.adapters.options import ExportOptions
from harness.adapters.parquet_folder import Question, Row, Trainer, Written, write_folder
from rewards.types import Grade
from tasks.common.errors import SpecError

CODE = '''\
"""The reward of the task in this folder for verl; written by `harness export verl`."""

from pathlib import Path

from harness.adapters.verl import VerlReward

_reward = VerlReward(Path(__file__).parent, opens=OPENS)
compute_score = _reward.compute_score
compute_score_async = _reward.compute_score_async
compute_score_batch = _reward.compute_score_batch
'''
Result = dict[str, Any]
"""``score``, the training reward, and metrics: the verdicts and the reason's code. None is called ``acc``,
because verl counts dropped answers as 0 in that one."""


@dataclass(frozen=True)
class VerlReward:
    """The reward functions of the folder that ``export`` wrote. Any number of calls may run at once.

    ``opens``: the tag with which the model's chat template opens a thought at the end of the prompt: verl
    hands on only what follows it.
    """

    folder: Path
    opens: str = ""

    def compute_score(
        self, data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any]
    ) -> Result:
        """The score of one answer.

        Raises RuntimeError: it is unscored; DataError: the row is of another task.
        """
        question, grade = self._submit(data_source, solution_str, ground_truth, extra_info)
        return _result(question, grade.result())

    async def compute_score_async(
        self, data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any]
    ) -> Result:
        """The same in an event loop, which goes on meanwhile."""
        question, grade = await asyncio.to_thread(
            self._submit, data_source, solution_str, ground_truth, extra_info
        )
        return _result(question, await asyncio.wrap_future(grade))

    def compute_score_batch(
        self,
        data_sources: Sequence[str],
        solution_strs: Sequence[str],
        ground_truths: Sequence[str],
        extra_infos: Sequence[Mapping[str, Any]],
    ) -> list[Result]:
        """The scores of a batch, in order. An error here would lose the whole batch.

        So an unscored answer gets the mean score of the scored answers to its question, which leaves their
        mean as it is and gives it the advantage 0, and its metric ``unscored`` is 1. Raises RuntimeError: no
        answer to a question is scored.
        """
        rows = zip(data_sources, solution_strs, ground_truths, extra_infos, strict=True)
        submitted = [self._submit(*row) for row in rows]
        results: list[Result] = []
        errors: dict[int, RuntimeError] = {}
        for index, (question, grade) in enumerate(submitted):
            try:
                results.append({**_result(question, grade.result()), "unscored": 0.0})
            except RuntimeError as error:
                errors[index] = error
                results.append({"score": None, **_metrics(question, grade.result()), "unscored": 1.0})
        scores = with_means([question for question, _ in submitted], [one["score"] for one in results])
        for index, score in enumerate(scores):
            if score is None:
                raise errors[index]
        return [{**result, "score": score} for result, score in zip(results, scores, strict=True)]

    def _submit(
        self, data_source: str, text: str, gold: str, extra_info: Mapping[str, Any]
    ) -> tuple[Question, Future[Grade]]:
        """A row's question, and the coming grade of a text as an answer to it."""
        question = Question.of_row(self.folder, data_source, extra_info, gold)
        return question, question.submit(self.opens + text)


def with_means(questions: Sequence[Hashable], scores: Sequence[float | None]) -> list[float | None]:
    """The scores of answers, each None replaced by the mean score of the scored answers to its question.

    None stays where no answer to the question is scored.
    """
    scored = defaultdict(list)
    for question, score in zip(questions, scores, strict=True):
        if score is not None:
            scored[question].append(score)
    means = {question: fmean(values) for question, values in scored.items()}
    pairs = zip(questions, scores, strict=True)
    return [means.get(question) if score is None else score for question, score in pairs]


def _result(question: Question, grade: Grade) -> Result:
    return {"score": question.reward(grade), **_metrics(question, grade)}


def _metrics(question: Question, grade: Grade) -> Result:
    return {**question.metrics(grade), "reason": grade.attempt.reason.value}


def _columns(gold: str) -> Row:
    return {"ability": "text-to-sql", "reward_model": {"style": "rule", "ground_truth": gold}}


def export(options: ExportOptions) -> str:
    """Write the folder; the command that trains on it. Raises SpecError, DataError."""
    if options.turns > 1:
        raise SpecError("verl asks once for each question: leave out --turns, or use skyrl or prime-rl")
    written = write_folder(Trainer("verl", _columns, "reward.py", CODE), options)
    return command(written, options.model) + "\n"


def command(written: Written, model: str) -> str:
    """The command line that trains a model with GRPO on the folder."""
    folder, answer = written.folder, written.task.spec.answer
    settings = {
        "algorithm.adv_estimator": "grpo",
        "data.train_files": folder / "train.parquet",
        "data.val_files": folder / "test.parquet",
        "data.max_prompt_length": written.prompt_tokens,
        "data.max_response_length": answer.max_new_tokens,
        "reward.custom_reward_function.path": folder / "reward.py",
        "reward.custom_reward_function.name": "compute_score_async",
        "reward.num_workers": 1,
        "actor_rollout_ref.model.path": model,
        "actor_rollout_ref.rollout.n": 8,
    }
    overrides = [shlex.quote(f"{key}={_hydra(str(value))}") for key, value in settings.items()]
    return " \\\n  ".join(["python -m verl.trainer.main_ppo", *overrides])


def _hydra(value: str) -> str:
    """A value as Hydra's command line reads it: quoted, unless it is plain."""
    if re.fullmatch(r"[\w./:-]+", value, re.ASCII):
        return value
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", re.sub(r"(\\+)$", r"\1\1", value)) + "'"
