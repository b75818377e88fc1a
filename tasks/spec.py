"""A task spec: one YAML file that says what is asked, of what, how, and what an answer is worth.

Every model is frozen and refuses unknown keys. ``load`` finds a shipped task by name or a file by path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.common.errors import SpecError, nearest
from tasks.common.named_code import refuse_untrusted
from tasks.common.parse import Spec, parse, read_yaml
from tasks.terms import TermsSpec
from tasks.types import Engine, Limits, Mode

SHIPPED = Path(__file__).parent


class FieldNames(Spec):
    """Which column of the dataset holds what. An empty name: the dataset has none."""

    question: str = "question"
    """Column of the question."""
    gold: str = "query"
    """Column of the gold SQL: text, an object with ``sql`` or ``query``, or a list of these (any of
    them is right)."""
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

    ``path`` is a file pattern (``{split}`` becomes the split's entry), a Hugging Face dataset id or
    a folder that ``datasets`` saved, or ``module:function`` (called with the split's entry, returns rows).
    """

    source: Literal["file", "huggingface", "python", "text2sql"] = "file"
    """``file``, ``huggingface`` (a dataset of the Hub or a saved folder), ``python`` (a function;
    needs ``--trust-task``) or ``text2sql`` (the format of jkkummerfeld/text2sql-data)."""
    path: str
    """File pattern, dataset id, folder, or ``module:function``; ``{split}`` is replaced by the entry
    of the split."""
    revision: str = ""
    """Version of a Hugging Face dataset: a branch, tag or commit."""
    config: str = ""
    """The configuration of a Hugging Face dataset that has several (``load_dataset``'s ``name``)."""
    splits: Mapping[str, str]
    """Name of a split -> the file, hub split or argument that stands for it; ``train[:20]`` cuts it."""
    fields: FieldNames = FieldNames()
    """Which column of the dataset holds what."""
    where: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    """Keep only the rows in which each of these columns has this value."""
    eval_split: str = "dev"
    """Split that ``harness eval`` uses by default."""
    train_split: str = "train"
    """Split that ``harness train`` uses by default."""

    @model_validator(mode="after")
    def _has_splits(self) -> Self:
        if not self.splits:
            raise ValueError("splits: name at least one, such as {dev: dev}")
        return self


class DatabasesSpec(Spec):
    """Where the databases are. ``{database}`` in a pattern becomes the row's database id."""

    engine: Engine = "sqlite"
    """``sqlite`` or ``duckdb``."""
    path: str = ""
    """Pattern of a database's file; ``{database}`` is replaced by the row's database id."""
    instances: str = ""
    """Glob for more instances of the same database: all must agree for TS."""
    missing: Literal["error", "skip"] = "error"
    """What a row without its database file is: an error, or left out and counted."""


class SchemaSpec(Spec):
    """How the schema is shown in the prompt."""

    format: Literal["ddl", "compact"] = "compact"
    """``ddl``: CREATE statements; ``compact``: one line for each table."""
    keys: bool = True
    """Show primary and foreign keys in the compact format."""
    rows: int = Field(0, ge=0, le=20)
    """Sample rows shown for each table."""
    values: bool = False
    """Show the column values that stand in the question."""


class ExamplesSpec(Spec):
    """Solved questions that a prompt shows (few-shot), from the training split only."""

    count: int = Field(0, ge=0, le=64)
    """Number of solved questions in the prompt; 0: none."""
    pick: Literal["fixed", "nearest"] = "fixed"
    """The same for every question, or those whose words are nearest to the question's."""
    seed: int = 0
    """Of the fixed pick."""


class PromptSpec(Spec):
    """How a question becomes chat messages. The schema comes first: questions share it as a prefix."""

    template: str = "plain"
    """A name in ``tasks/templates`` or a path to a Jinja file."""
    system: str = ""
    """Text of a system message before the question; "": no system message."""
    schema_: SchemaSpec = Field(SchemaSpec(), alias="schema")
    """How the database's schema is shown."""
    examples: ExamplesSpec = ExamplesSpec()
    """Solved questions that the prompt shows (few-shot)."""
    evidence: bool = True
    """Show the dataset's hint for the question, where it has one."""
    max_tokens: int = Field(0, ge=0)
    """Budget that ``harness check`` holds prompts to, in tokens; 0: none."""


class ScoringSpec(Spec):
    """What an answer is worth."""

    metric: Mode = Mode.STRICT
    """The headline number of the board."""
    modes: tuple[Mode, ...] = (Mode.STRICT,)
    """All the verdicts to compute from the one execution."""
    reward: str = "gated"
    """A preset's name, or ``module:Class``."""
    weights: Mapping[str, float] = Field(default_factory=dict)
    """Weights of scorers; where given they make the reward instead of a preset."""
    terms: TermsSpec | None = None
    """What an answer may lose beside."""
    instances: int = Field(1, ge=1)
    """Strict mode asks for agreement on this many instances of the database."""
    feedback_rows: int = Field(0, ge=0)
    """Over several turns, how many rows of its query's result the model is shown, to confirm or correct it;
    0: a query that returns rows stands."""
    seconds: float = Field(Limits().seconds, gt=0)
    """Deadline of a query in seconds; the worker that runs it is killed when it passes."""
    steps: int = Field(Limits().steps, gt=0)
    """Most SQLite virtual-machine instructions of a query."""
    rows: int = Field(Limits().rows, gt=0)
    """Most rows of a result; a longer result is refused, never cut."""
    cells: int = Field(Limits().cells, gt=0)
    """Most cells of a result."""
    bytes: int = Field(Limits().bytes, gt=0)
    """Of text and blobs in one result, of which one value may take an eighth."""

    def limits(self) -> Limits:
        """The limits of one execution under this spec."""
        return Limits(self.seconds, self.steps, self.rows, self.cells, self.bytes)


class AnswerSpec(Spec):
    """How an answer is drawn from the model, where the command line does not say."""

    max_new_tokens: int = Field(256, gt=0)
    """Most tokens of an answer."""
    stop: tuple[str, ...] = ()
    """Strings at which an answer ends."""


class TaskSpec(Spec):
    """All of a task."""

    name: str
    """Name of the task, as boards and runs show it."""
    version: int = 1
    """Version of the task, recorded in every run."""
    description: str = ""
    """One sentence that ``harness tasks`` prints."""
    dataset: DatasetSpec
    """Where the questions come from."""
    databases: DatabasesSpec = DatabasesSpec()
    """Where the databases are."""
    prompt: PromptSpec = PromptSpec()
    """How a question becomes chat messages."""
    scoring: ScoringSpec = ScoringSpec()
    """How an answer is scored."""
    answer: AnswerSpec = AnswerSpec()
    """How an answer is drawn, where the command line does not say."""

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not name.strip() or name.startswith("/") or {".", ".."} & set(name.split("/")):
            raise ValueError("a task's name is neither empty nor a path")
        return name

    def code(self) -> dict[str, str]:
        """Key -> the ``module:name`` that it has run."""
        found = {"scoring.reward": self.scoring.reward} if ":" in self.scoring.reward else {}
        return found | ({"dataset.path": self.dataset.path} if self.dataset.source == "python" else {})


def shipped() -> list[str]:
    """Names of the tasks that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load(task: str, overrides: Sequence[str] = (), trust: bool = False) -> TaskSpec:
    """The spec of a shipped task (by name) or of a YAML file (by path), with ``key.path=value`` overrides.

    ``trust``: the spec may name code to run (``tasks/common/named_code.py``).
    Raises SpecError: no such task, broken YAML, unknown key, wrong value, code that is not trusted.
    """
    path = SHIPPED / f"{task}.yaml"
    if not re.fullmatch(r"[\w-]+", task) or not path.is_file():
        path = Path(task)
    if not path.is_file():
        raise SpecError(f"no task '{task}': {_missing(path)}")
    where = str(path) if path.parent != SHIPPED else task
    data = read_yaml(path) if path.parent == SHIPPED else _relative_to(read_yaml(path), path.parent)
    spec = parse(TaskSpec, data, overrides, where=where)
    if not trust:
        refuse_untrusted(spec.code(), where)
    return spec


def _missing(path: Path) -> str:
    """Why there is no task file at a path, with the nearest right name."""
    if path.is_dir():
        return f"it is a folder, expected a YAML file{_near(path / 'task.yaml', '; in it')}"
    return f"not a file{_near(path, ':')}, and not a shipped task ({nearest(str(path), shipped())})"


def _near(path: Path, before: str) -> str:
    """The YAML file beside ``path`` whose name is nearest, if one is near."""
    found = [one.name for one in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    near = nearest(path.name, found) if found else ""
    return f"{before} {near.rstrip('?')}" if near.startswith("did") else ""


def _relative_to(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A task as read from a YAML file, with the relative paths in it taken from the file's folder.

    A template is a path if there is such a file. Places that begin with ``${VARIABLE}`` stay as they are.
    """
    dataset, prompt = data.get("dataset"), data.get("prompt")
    for section, key in (("dataset", "path"), ("databases", "path"), ("databases", "instances")):
        part = data.get(section)
        path = part.get(key) if isinstance(part, dict) else None
        if not isinstance(path, str) or not path or path.startswith(("/", "$", "~")):
            continue
        source = dataset.get("source", "file") if isinstance(dataset, dict) else "file"
        if section == "databases" or source in ("file", "text2sql") or (folder / path).is_dir():
            data[section] = {**data[section], key: str(folder / path)}
    template = prompt.get("template") if isinstance(prompt, dict) else None
    if isinstance(template, str) and (folder / template).is_file():
        data["prompt"] = {**data["prompt"], "template": str(folder / template)}
    return data
