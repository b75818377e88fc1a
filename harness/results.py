"""The results of stored answers as tables beside the gold's, and their reward under each preset.

Gold and answer run again, once each, in the sandbox and under the limits of the run's task. Nothing runs
where the database is missing or is not the one that the run was judged on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from harness.provenance.identity import databases
from harness.stored_task import stored_task
from leaderboards.evidence import Evidence
from leaderboards.identity import identity_of
from leaderboards.types import Record, Run
from rewards import gold_cache
from rewards.grader import attempt_of
from rewards.presets import PRESETS
from rewards.types import JudgeJob, JudgeSettings
from rewards.version import code_version
from tasks.common.errors import DataError, HarnessError
from tasks.common.home import home
from tasks.databases.sandbox.pool import Sandbox
from tasks.databases.state import stamped
from tasks.spec import TaskSpec
from tasks.task import Task
from tasks.types import Sample

WORK = "harness.result_tables:tables"
"""The function that the sandbox's workers call."""


@dataclass(frozen=True, slots=True)
class ResultTable:
    """A part of what one query returned: at most 20 rows of 20 columns; long cells are cut."""

    columns: tuple[str, ...] = ()
    """The names of the columns that are shown."""
    rows: tuple[tuple[str | None, ...], ...] = ()
    """The rows that are shown, their cells as text; null for NULL. A text that reads like a number or like
    nothing is in quotes."""
    start: int = 0
    """The index of the first row that is shown, from 0; above 0 where the row that differs is a late one."""
    total_rows: int = 0
    """Rows that the query returned."""
    total_columns: int = 0
    """Columns that it returned."""
    differs: int | None = None
    """The index, among all rows, of the first that the other result lacks; null if there is none."""
    error: str = ""
    """Why the query returned nothing."""

    @property
    def truncated(self) -> bool:
        """Whether rows or columns are left out."""
        return len(self.rows) < self.total_rows or len(self.columns) < self.total_columns

    def as_dict(self) -> dict[str, Any]:
        """The fields, with ``truncated``."""
        return {**asdict(self), "truncated": self.truncated}


@dataclass(frozen=True, slots=True)
class Results:
    """What gold and answer return now, on the instance that decides the verdict."""

    unavailable: str = ""
    """Why there are no tables: the database is missing or has changed, the task is not known, ..."""
    gold: ResultTable = ResultTable()
    answer: ResultTable = ResultTable()
    instance: int = 0
    """The instance of the database, from 0."""
    reason: str = ""
    """The reason code of the answer as it is judged now."""
    rewards: Mapping[str, float | None] = field(default_factory=dict)
    """Preset -> the answer's reward; null where it is unscored or only matches an empty gold."""

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        if self.unavailable:
            return {"unavailable": self.unavailable}
        tables = {"gold": self.gold.as_dict(), "answer": self.answer.as_dict()}
        return {**tables, "instance": self.instance, "reason": self.reason, "rewards": dict(self.rewards)}


@dataclass(frozen=True, slots=True)
class EvidenceWithResults:
    """The evidence for one question, with the results of each answer in the order of the records."""

    evidence: Evidence
    results: Sequence[Results]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**self.evidence.as_dict(), "results": [results.as_dict() for results in self.results]}


def results(run: Run, records: Sequence[Record], workers: int = 0, trust: bool = False) -> list[Results]:
    """The results of each record of a run, in order. Equal answers to a question run once.

    ``workers`` 0: one for each CPU. ``trust``: the run's task may run code that it names. What is missing is
    reported in the results, not raised.
    """
    try:
        source = _StoredTask(run, trust)
    except HarnessError as error:
        return [Results(unavailable=str(error))] * len(records)
    places: list[int | Results] = []
    jobs: dict[JudgeJob, int] = {}
    for record in records:
        try:
            places.append(jobs.setdefault(source.job(record), len(jobs)))
        except HarnessError as error:
            places.append(Results(unavailable=str(error)))
    made = dict(_run(list(jobs), source.spec, workers)) if jobs else {}
    return [place if isinstance(place, Results) else made[place] for place in places]


class _StoredTask:
    """The task of a stored run. Raises SpecError, as ``stored_task`` does."""

    def __init__(self, run: Run, trust: bool) -> None:
        self.spec = stored_task(run, trust, with_reward=False)  # the rewards shown are the presets
        self._run = run
        self._task = Task(self.spec)
        self._settings = JudgeSettings(
            modes=(self.spec.scoring.metric,),
            metric=self.spec.scoring.metric,
            instances=self.spec.scoring.instances,
            gold_cache=str(home() / f"gold-{code_version()}"),
        )

    def job(self, record: Record) -> JudgeJob:
        """The job for a record. Raises DataError, SpecError: its database is missing or not the run's."""
        sample = self._sample(record)
        identity = identity_of(self._run)
        now = databases(self._task, [sample])
        stored = identity.databases if identity else {}
        if unknown := [name for name in now if name not in stored]:
            raise DataError(f"run {self._run.id} does not name the database {unknown[0]} among its inputs")
        if changed := [name for name in now if stored[name] != now[name]]:
            raise DataError(f"the database {changed[0]} has changed since run {self._run.id}")
        return JudgeJob(stamped(self._task.database(sample)), sample.gold, record.sql, self._settings)

    def _sample(self, record: Record) -> Sample:
        """The question of a record; where the dataset has it no longer, what the record holds of it."""
        sample = self._samples.get(record.sample_id)
        if sample is None or sample.database != record.database:
            return Sample(record.sample_id, record.question, record.database, (record.compared_gold,))
        known = record.compared_gold in sample.gold
        return sample if known else replace(sample, gold=(record.compared_gold,))

    @cached_property
    def _samples(self) -> Mapping[str, Sample]:
        try:
            return {sample.id: sample for sample in self._task.samples(self._run.split)}
        except HarnessError:
            return {}  # the database may still be there


def _run(jobs: Sequence[JudgeJob], spec: TaskSpec, workers: int) -> Iterator[tuple[int, Results]]:
    scorers = {name: make(spec.scoring.metric) for name, make in PRESETS.items()}
    with Sandbox(workers, spec.scoring.limits()) as sandbox:
        for index, result in sandbox.map(WORK, [tuple(job) for job in jobs]):
            job = jobs[index]
            attempt = attempt_of(job, result[:2] if isinstance(result, tuple) else result)
            rewards = {name: scorer(attempt).value for name, scorer in scorers.items()}
            made = Results(reason=attempt.reason.value, rewards=rewards)
            if isinstance(result, tuple):
                _, new_files, instance, gold, answer = result
                gold_cache.write(job.settings.gold_cache, new_files)
                made = replace(made, instance=instance, gold=ResultTable(*gold), answer=ResultTable(*answer))
            else:
                made = replace(made, unavailable=attempt.detail)
            yield index, made
