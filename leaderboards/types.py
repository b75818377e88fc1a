"""The data of a run that is stored: one ``Run``, and one ``Record`` for each judged completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # typing's cannot be checked before Python 3.12

RunKind = Literal["eval", "train"]
Method = Literal["", "base", "sft", "grpo"]
SCHEMA = 1
"""Version of the files of a run; raised when a field changes its meaning, but not for a new field."""


@dataclass(frozen=True, slots=True)
class Record:
    """One judged answer: the question, the answer, its scores and the evidence.

    ``sample_id`` and ``sample_index`` together are its key. A verdict of None is unscored (our own failure)
    or was not requested; it is never counted as 0.
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
    """Number of this answer among the answers to the question, from 0."""
    difficulty: str = ""
    """Difficulty in the dataset; "" if it has none."""
    part: str = ""
    """Part of the split in the dataset; "" if it has none."""
    family: str = ""
    """Family of the question in the dataset; "" if it has none."""
    prompt: str = "[]"
    """The messages, as JSON text."""
    sql: str = ""
    """The SQL that was extracted from the answer."""
    gold: str = ""
    """The first gold of the question."""
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
    denotation: float | None = None
    """Verdict of the mode ``denotation``."""
    spider2: float | None = None
    """Verdict of the mode ``spider2``."""
    reward: float | None = None
    """The task's composite score, which is also the reward in a GRPO training."""
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
    """Sum of the log-probabilities of the answer's tokens; null if the runner does not know them."""
    cost: float = 0.0
    """US dollars; 0 unless the prices of the endpoint are set."""
    result: str = ""
    """Digest of the rows that the answer returned, if several answers were drawn; majority votes use it."""
    examples: str = "[]"
    """Ids of the training samples that the prompt showed, as JSON text."""
    other_gold: str = ""
    """The gold that decided, if it is not the first: that which the answer matches best."""
    flags: str | None = None
    """The security flags of the query, separated by commas; null where the task asks for none."""

    @property
    def key(self) -> tuple[str, int]:
        return self.sample_id, self.sample_index

    @property
    def compared_gold(self) -> str:
        """The gold that verdict, reason and detail are about."""
        return self.other_gold or self.gold


@dataclass(frozen=True, slots=True)
class Run:
    """The inputs of a run, which define what its numbers mean and are needed to reproduce them.

    Runs are ranked together only if ``task_digest``, ``split``, ``metric`` and ``scorer_version`` are equal.
    An unfinished run is continued by a run of the same ``kind`` and ``digest``.
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
    """Digest of all inputs that determine the records: of ``identity``."""
    method: Method = ""
    """How the model was trained; empty for answers without a model."""
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
    """Stage -> its data and settings: rows, steps, whether it saw gold SQL, ..."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> version."""
    commit: str = ""
    """Git commit of the current folder, with ``+`` if files are modified; "" outside git."""
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
    memory: int | None = None
    """Peak of resident memory in the process that finished it, in bytes; null in runs of older versions."""
    gpu_memory: int | None = None
    """Peak that torch allocated on that process's GPUs, in bytes; null without a GPU."""
    records_sha256: str = ""
    """SHA-256 of ``records.parquet``; empty while the run is unfinished, and in runs of older versions."""
    schema: int = SCHEMA
    """Version of the files of this run."""

    @property
    def finished(self) -> bool:
        return bool(self.ended)

    @property
    def label(self) -> str:
        return label(self.model)

    @property
    def unusual(self) -> list[str]:
        """How it was asked, in words, where that is not once, greedily and all questions."""
        temperature, turns = self.sampling.get("temperature"), self.sampling.get("turns")
        words = [f"temperature {temperature}" if temperature else "", f"{turns} turns" if turns else ""]
        return [*filter(None, words), *([f"{self.limit:,} asked"] if self.limit else [])]


def label(model: str) -> str:
    """The name of a model on a board: of a path the last two folders, without a final ``model``.

    >>> label("/home/me/.harness/demo/grpo/model")
    'demo/grpo'
    """
    prefix, colon, name = model.rpartition(":")
    parts = [part for part in PurePath(name).parts if part != "/"]
    if parts[-1:] == ["model"] and len(parts) > 1:
        parts.pop()
    return prefix + colon + "/".join(parts[-2:])


class Slice(TypedDict):
    """The headline figures of some questions: mean, 95 % Wilson interval, and number of scored questions."""

    ex: float | None
    """Mean of the headline mode in [0, 1]; null if nothing was scored."""
    low: float | None
    """Lower end of the 95 % Wilson interval."""
    high: float | None
    """Upper end."""
    n: int
    """Questions that were scored."""


class Clustered(TypedDict):
    """A 95 % interval for other databases, in which questions of one database are alike."""

    low: float
    """Lower end."""
    high: float
    """Upper end."""
    clusters: int
    """Databases."""
    effective: float
    """Kish's effective number of databases: as many of equal size would say as much."""
    design_effect: float
    """How many times the variance is that of as many independent questions."""


class Summary(Slice):
    """The figures of one evaluation, as ``scores.json`` holds them.

    With several answers, a question counts as the mean of its scored answers. Shares and means leave out
    unscored answers. Shares are in [0, 1].
    """

    completions: int
    """Answers that were drawn."""
    unscored: int
    """Completions that were not scored."""
    unanswered: NotRequired[int]
    """Completions that the model could not give (prompt over its context, or refused): counted as wrong."""
    executable: float | None
    """Share of the scored completions that ran."""
    reward: float | None
    """Mean of the composite score, which is the training reward."""
    success: NotRequired[float | None]
    """Share of the rewarded answers with a reward over 0.5."""
    perfect: NotRequired[float | None]
    """Share of the rewarded answers with a reward over 0.95."""
    clustered: NotRequired[Clustered | None]
    """The headline's 95 % interval for other databases; null with fewer than two."""
    tokens: float | None
    """Mean length of a completion."""
    prompt_tokens: float | None
    """Mean length of a prompt, in tokens."""
    empty_gold: float | None
    """Share of the answers that ran whose gold returned no rows."""
    modes: dict[str, float]
    """Mode -> mean verdict, for every mode that was requested."""
    modes_unscored: NotRequired[dict[str, int]]
    """Mode -> completions without a verdict in it, which its mean leaves out."""
    cost: float
    """US dollars for all completions; 0 without prices."""
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
    security: NotRequired[float | None]
    """Share of the answers without a security flag; null where the task asks for none."""
    flags: NotRequired[dict[str, int]]
    """Security flag -> completions that have it, the most frequent first."""
    reasons: dict[str, int]
    """Reason -> completions, the most frequent first."""
    alarms: dict[str, float]
    """Alarm -> its measure, by the names of ``leaderboards.alarms.LIMITS``."""
