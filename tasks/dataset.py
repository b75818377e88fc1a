"""The section ``dataset`` of a task: where the questions come from, and which column holds what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from tasks.common.parse import Spec
from tasks.types import Engine

Scalar = str | int | float | bool
Source = Literal[
    "file", "huggingface", "python", "text2sql", "wikitables", "wikisql", "livesqlbench", "spider2"
]  # fmt: skip


class FieldNames(Spec):
    """The column of the dataset for each field of a sample; empty where the dataset has no such column."""

    question: str = "question"
    """Column of the question."""
    gold: str = "query"
    """Column of the gold SQL: text, an object with ``sql`` or ``query``, or a list of these (any of
    them is right)."""
    answers: str = ""
    """Column of the answers, for a dataset that gives values instead of SQL: a list of texts. The gold
    becomes a query that returns them, and ``scoring.metric`` must be ``denotation``."""
    canonical: str = ""
    """Column of the answers' canonical forms, a list in the order of the answers, or an empty list."""
    results: str = ""
    """Column of the results, for a dataset that gives tables instead of SQL: a list of objects with
    ``columns``, ``rows`` (texts and nulls) and ``ordered``, any of which is right. The golds become queries
    that return them, and ``scoring.metric`` must be ``spider2``."""
    database: str = "db_id"
    """Column of the database id."""
    id: str = ""
    """Column of the question's id; "": ids are row numbers."""
    evidence: str = ""
    """Column of a hint that the prompt shows (BIRD's evidence)."""
    difficulty: str = ""
    """Column of the difficulty, by which boards and comparisons group."""
    part: str = ""
    """Column of a named slice of the split that the board reports separately (``seen``, ``unseen``)."""
    family: str = ""
    """Column of the kind of question, for ``--only family=...``."""
    ddl: str = ""
    """Column of a schema as SQL text, for rows that carry their own schema instead of naming a
    database file."""


class DatasetSpec(Spec):
    """Where the questions come from.

    ``path`` is a file pattern (``{split}`` becomes the split's entry), a Hugging Face dataset id, a folder
    that ``datasets`` saved, or ``module:function`` (called with the split's entry; returns rows).
    """

    source: Source = "file"
    """``file``, ``huggingface`` (a dataset of the Hub or a saved folder), ``python`` (a function;
    needs ``--trust-task``), or a format of its own: ``text2sql`` (jkkummerfeld/text2sql-data),
    ``wikitables`` (WikiTableQuestions), ``wikisql``, ``livesqlbench`` or ``spider2`` (Spider 2.0-Lite)."""
    path: str
    """File pattern, dataset id, folder, or ``module:function``; ``{split}`` is replaced by the entry
    of the split. ``*`` and ``?`` in a file's name: the rows of all files that match, by name."""
    revision: str = ""
    """Version of a Hugging Face dataset: a branch, tag or commit."""
    config: str = ""
    """The configuration of a Hugging Face dataset that has several (``load_dataset``'s ``name``)."""
    splits: Mapping[str, str]
    """Name of a split -> its file name, hub split or argument; ``train[:20]`` takes a slice of it."""
    fields: FieldNames = FieldNames()
    """Which column of the dataset holds what."""
    dialect: Engine | Literal[""] = ""
    """The engine for which the golds are written; "": that of ``databases.engine``."""
    where: Mapping[str, Scalar | tuple[Scalar, ...]] = Field(default_factory=dict)
    """Use only the rows in which each of these columns has this value, or one of these values."""
    missing_gold: Literal["error", "skip"] = "error"
    """What to do with a row without a gold: an error, or skip and count it."""
    eval_split: str = "dev"
    """Split that ``harness eval`` uses by default."""
    train_split: str = "train"
    """Split that ``harness train`` uses by default."""

    @property
    def gives_sql(self) -> bool:
        """Whether the golds are SQL that answers the question, not answers or results."""
        return not (self.fields.answers or self.fields.results)

    @model_validator(mode="after")
    def _has_splits(self) -> Self:
        if not self.splits:
            raise ValueError("splits: name at least one, such as {dev: dev}")
        return self
