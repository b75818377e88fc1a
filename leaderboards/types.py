"""What is kept of a run: one ``Run``, and one ``Record`` for each judged completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["eval", "train"]
Method = Literal["", "base", "sft", "grpo"]


@dataclass(frozen=True, slots=True)
class Record:
    """One judged completion: what was asked, what was answered, what it was worth and why.

    ``sample_id`` and ``sample_index`` together are its key. A verdict of None was not scored (our own
    failure) or not asked for; it is never counted as 0.
    """

    sample_id: str
    question: str
    database: str
    completion: str
    reason: str
    """A ``rewards.types.Reason``."""
    sample_index: int = 0
    """Which of the answers drawn for this question; 0 where there is one."""
    difficulty: str = ""
    part: str = ""
    family: str = ""
    prompt: str = "[]"
    """The messages, as JSON text."""
    sql: str = ""
    """What was read out of the completion."""
    gold: str = ""
    """The gold that the answer was held against."""
    detail: str = ""
    """The engine's message, or the first differing row."""
    metric: float | None = None
    """The verdict of the task's headline mode, in [0, 1]."""
    strict: float | None = None
    spider: float | None = None
    spider_ts: float | None = None
    bird: float | None = None
    bird_f1: float | None = None
    reward: float | None = None
    parts: str = "{}"
    """What the reward was made of, as JSON text: name -> value."""
    executes: bool = False
    rows: int = 0
    gold_rows: int = 0
    columns: int = 0
    gold_columns: int = 0
    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    """Time the runner spent on this answer."""
    finish: str = "stop"
    """Why the answer ended: ``stop``, ``length`` or ``error``."""
    logprob: float | None = None
    """Sum of the log-probabilities of the answer's tokens, where the runner knows them."""

    @property
    def key(self) -> tuple[str, int]:
        return self.sample_id, self.sample_index


@dataclass(frozen=True, slots=True)
class Run:
    """Everything needed to say what a run's numbers mean, and to make them again.

    Runs are ranked together only where ``task_digest``, ``split``, ``metric`` and ``scorer_version`` agree.
    An unfinished run is continued by one of the same ``kind`` and ``digest``.
    """

    id: str
    kind: Kind
    model: str
    task: str
    task_digest: str
    split: str
    metric: str
    scorer_version: str
    digest: str
    """Of everything that decides the records: task, model, sampling, limit, scorer, seed."""
    method: Method = ""
    parent: str = ""
    """The model that this one was trained from."""
    trained_by: str = ""
    """Id of the training run that made the model."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    limit: int = 0
    """At most this many questions; 0: all."""
    skipped: int = 0
    """Rows of the dataset that were left out, such as those whose database is missing."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The resolved spec."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """What each stage was given: stage -> rows, gold SQL or answers only, steps, ..."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> version."""
    commit: str = ""
    started: str = ""
    """ISO 8601, UTC."""
    ended: str = ""
    """ISO 8601, UTC; empty while the run is unfinished."""
    seconds: float = 0.0
    """Time spent, over all the sessions that it took."""

    @property
    def finished(self) -> bool:
        return bool(self.ended)
