"""What is kept of a run: one ``Run``, and one ``Record`` for each judged completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # typing's cannot be checked before Python 3.12

RunKind = Literal["eval", "train"]
Method = Literal["", "base", "sft", "grpo"]


@dataclass(frozen=True, slots=True)
class Record:
    """One judged answer: the question, the answer, its scores and the evidence.

    ``sample_id`` and ``sample_index`` together are its key. A verdict of None was not scored (our own
    failure) or not asked for; it is never counted as 0.
    """

    sample_id: str
    """Id of the question."""
    question: str
    """The question."""
    database: str
    """Id of its database."""
    completion: str
    """The text of the answer."""
    reason: str
    """The reason code."""
    sample_index: int = 0
    """Which of the answers drawn for this question; 0 where there is one."""
    difficulty: str = ""
    """As the dataset gives it."""
    part: str = ""
    """As the dataset gives it."""
    family: str = ""
    """As the dataset gives it."""
    prompt: str = "[]"
    """The messages, as JSON text."""
    sql: str = ""
    """The SQL that was extracted from the answer."""
    gold: str = ""
    """The gold that the answer was compared with."""
    detail: str = ""
    """The engine's message, or the first differing row."""
    metric: float | None = None
    """The verdict of the task's headline mode, in [0, 1]."""
    strict: float | None = None
    """Verdict of the mode ``strict``."""
    spider: float | None = None
    """Verdict of the mode ``spider``."""
    spider_ts: float | None = None
    """Verdict of the mode ``spider_ts``."""
    bird: float | None = None
    """Verdict of the mode ``bird``."""
    bird_f1: float | None = None
    """Verdict of the mode ``bird_f1``."""
    reward: float | None = None
    """The task's composite: what a GRPO training would get for this answer."""
    parts: str = "{}"
    """The parts of the reward, as JSON text: name -> value."""
    executes: bool = False
    """Whether the query ran."""
    rows: int = 0
    """Rows that the query returned."""
    gold_rows: int = 0
    """Rows that the gold returned."""
    columns: int = 0
    """Columns that the query returned."""
    gold_columns: int = 0
    """Columns that the gold returned."""
    prompt_tokens: int = 0
    """Tokens of the prompt."""
    tokens: int = 0
    """Tokens of the answer."""
    seconds: float = 0.0
    """Time the runner spent on this answer."""
    finish: str = "stop"
    """How the answer ended: ``stop``, ``length``, ``unanswered``, ``failed`` or ``error``."""
    logprob: float | None = None
    """Sum of the log-probabilities of the answer's tokens, where the runner knows them."""
    cost: float = 0.0
    """US dollars, where the prices of an endpoint are given."""
    result: str = ""
    """Digest of the rows that the answer returned, if several answers were drawn; majority votes use it."""
    examples: str = "[]"
    """Ids of the training samples that the prompt showed, as JSON text."""

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
    """Name of the run's directory."""
    kind: RunKind
    """An evaluation or a training."""
    model: str
    """The model's name, as ``--model`` took it."""
    task: str
    """Name of the task."""
    task_digest: str
    """Digest of the task's spec."""
    split: str
    """Split that was evaluated or trained on."""
    metric: str
    """Headline mode of the task."""
    scorer_version: str
    """Version of the scorer: its code, sqlglot and the engine."""
    digest: str
    """Digest of everything that decides the records: of ``identity``."""
    method: Method = ""
    """How the model was made; empty for answers that no model gave."""
    parent: str = ""
    """The model that this one was trained from."""
    trained_by: str = ""
    """Id of the training run that made the model."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """All settings of sampling."""
    seed: int = 0
    """Seed of sampling or training."""
    limit: int = 0
    """At most this many questions; 0: all."""
    skipped: int = 0
    """Rows of the dataset that were left out, such as those whose database is missing."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The spec with all defaults and overrides."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Data and steps of each stage: stage -> rows, gold SQL or answers only, steps, ..."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> version."""
    commit: str = ""
    """Git commit of the harness, where it runs from a checkout."""
    identity: Mapping[str, Any] = field(default_factory=dict)
    """Fields of ``leaderboards.identity.Identity``; empty in runs of older versions."""
    parent_content: str = ""
    """Digest of the model that this one was trained from."""
    started: str = ""
    """Start, as ISO 8601 in UTC."""
    ended: str = ""
    """End, as ISO 8601 in UTC; empty while the run is unfinished."""
    seconds: float = 0.0
    """Seconds over all sessions of the run."""
    records_sha256: str = ""
    """SHA-256 of ``records.parquet``; empty while the run is unfinished, and in runs of older versions."""

    @property
    def finished(self) -> bool:
        return bool(self.ended)

    @property
    def label(self) -> str:
        return label(self.model)


def label(model: str) -> str:
    """What a board calls a model: of a path the last two folders, without a closing ``model``.

    >>> label("/home/me/.harness/demo/grpo/model")
    'demo/grpo'
    """
    kind, colon, name = model.rpartition(":")
    parts = [part for part in PurePath(name).parts if part != "/"]
    if parts[-1:] == ["model"] and len(parts) > 1:
        parts.pop()
    return kind + colon + "/".join(parts[-2:])


class Slice(TypedDict):
    """The headline of some questions: their mean, its 95 % Wilson interval, and how many were scored."""

    ex: float | None
    """Mean of the headline mode; null where nothing was scored."""
    low: float | None
    """Lower end of the 95 % Wilson interval."""
    high: float | None
    """Upper end."""
    n: int
    """Questions that were scored."""


class Summary(Slice):
    """What one evaluation came to; ``scores.json`` holds it.

    With several answers a question, a question counts by the mean of its scored ones. Shares and means leave
    out what was not scored. Shares are in [0, 1].
    """

    completions: int
    """Answers that were drawn."""
    unscored: int
    """Completions that were not scored."""
    unanswered: NotRequired[int]
    """Completions that the model could not give (prompt over its context, or refused): wrong, and counted."""
    executable: float | None
    """Share of the scored completions that ran."""
    reward: float | None
    """Mean of the composite."""
    tokens: float | None
    """Mean length of a completion."""
    prompt_tokens: float | None
    """Mean length of a prompt, in tokens."""
    empty_gold: float | None
    """Share of the answers that ran whose gold returned no rows."""
    modes: dict[str, float]
    """Mode -> mean verdict, for every mode that was asked for."""
    modes_unscored: NotRequired[dict[str, int]]
    """Mode -> completions that it could not judge, which its mean leaves out."""
    cost: float
    """US dollars that all of it cost; 0 where nothing has a price."""
    pass_at: dict[str, float]
    """k -> pass@k, where several answers were drawn."""
    best_of: dict[str, float]
    """k -> the headline of the best-rewarded of k answers."""
    majority: dict[str, float]
    """k -> the headline of a vote of all k answers, by result."""
    parts: dict[str, Slice]
    """Headline of each part of the split."""
    difficulty: dict[str, Slice]
    """Headline of each difficulty."""
    reasons: dict[str, int]
    """Reason -> completions, the most frequent first."""
    alarms: dict[str, float]
    """Alarm -> its measure, by the names of ``leaderboards.alarms.LIMITS``."""
