"""A task spec: one YAML file that says what is asked, of what, how, and what an answer is worth.

Every model is frozen and refuses unknown keys. ``load`` finds a shipped task by name or a file by path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.common.errors import SpecError, nearest
from tasks.common.parse import Spec, parse, read_yaml
from tasks.common.trust import refuse_code
from tasks.paths import from_folder, missing
from tasks.terms import TermsSpec
from tasks.types import Engine, Limits, Mode

SHIPPED = Path(__file__).parent


class FieldNames(Spec):
    """Which column of the dataset holds what. An empty name: the dataset has none."""

    question: str = "question"
    gold: str = "query"
    database: str = "db_id"
    id: str = ""
    evidence: str = ""
    difficulty: str = ""
    part: str = ""
    family: str = ""
    ddl: str = ""


class DatasetSpec(Spec):
    """Where the questions come from.

    ``path`` is a file pattern (``{split}`` becomes the split's entry), a Hugging Face dataset id or
    a folder that ``datasets`` saved, or ``module:function`` (called with the split's entry, returns rows).
    """

    source: Literal["file", "huggingface", "python", "text2sql"] = "file"
    path: str
    revision: str = ""
    config: str = ""
    """The configuration of a Hugging Face dataset that has several (``load_dataset``'s ``name``)."""
    splits: Mapping[str, str]
    """Name of a split -> the file, hub split or argument that stands for it; ``train[:20]`` cuts it."""
    fields: FieldNames = FieldNames()
    where: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    """Keep only the rows in which each of these columns has this value."""
    eval_split: str = "dev"
    train_split: str = "train"

    @model_validator(mode="after")
    def _has_splits(self) -> Self:
        if not self.splits:
            raise ValueError("splits: name at least one, such as {dev: dev}")
        return self


class DatabasesSpec(Spec):
    """Where the databases are. ``{database}`` in a pattern becomes the row's database id."""

    engine: Engine = "sqlite"
    path: str = ""
    instances: str = ""
    """Glob for more instances of the same database: all must agree for TS."""
    missing: Literal["error", "skip"] = "error"
    """What a row without its database file is: an error, or left out and counted."""


class SchemaSpec(Spec):
    """How the schema is shown in the prompt."""

    format: Literal["ddl", "compact"] = "compact"
    keys: bool = True
    rows: int = Field(0, ge=0, le=20)
    """Sample rows shown for each table."""
    values: bool = False
    """Show the column values that stand in the question."""


class ExamplesSpec(Spec):
    """Solved questions that a prompt shows (few-shot), from the training split only."""

    count: int = Field(0, ge=0, le=64)
    pick: Literal["fixed", "nearest"] = "fixed"
    """The same for every question, or those whose words are nearest to the question's."""
    seed: int = 0
    """Of the fixed pick."""


class PromptSpec(Spec):
    """How a question becomes chat messages. The schema comes first: questions share it as a prefix."""

    template: str = "plain"
    """A name in ``tasks/templates`` or a path to a Jinja file."""
    system: str = ""
    schema_: SchemaSpec = Field(SchemaSpec(), alias="schema")
    examples: ExamplesSpec = ExamplesSpec()
    evidence: bool = True
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
    steps: int = Field(Limits().steps, gt=0)
    rows: int = Field(Limits().rows, gt=0)
    cells: int = Field(Limits().cells, gt=0)
    bytes: int = Field(Limits().bytes, gt=0)
    """Of text and blobs in one result, of which one value may take an eighth."""

    def limits(self) -> Limits:
        """The limits of one execution under this spec."""
        return Limits(self.seconds, self.steps, self.rows, self.cells, self.bytes)


class AnswerSpec(Spec):
    """How an answer is drawn from the model, where the command line does not say."""

    max_new_tokens: int = Field(256, gt=0)
    stop: tuple[str, ...] = ()


class TaskSpec(Spec):
    """All of a task."""

    name: str
    version: int = 1
    description: str = ""
    dataset: DatasetSpec
    databases: DatabasesSpec = DatabasesSpec()
    prompt: PromptSpec = PromptSpec()
    scoring: ScoringSpec = ScoringSpec()
    answer: AnswerSpec = AnswerSpec()

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

    ``trust``: the spec may name code to run (``tasks/common/trust.py``).
    Raises SpecError: no such task, broken YAML, unknown key, wrong value, code that is not trusted.
    """
    path = SHIPPED / f"{task}.yaml"
    if not re.fullmatch(r"[\w-]+", task) or not path.is_file():
        path = Path(task)
    if not path.is_file():
        raise SpecError(f"no task '{task}': {missing(path, shipped())}")
    where = str(path) if path.parent != SHIPPED else task
    data = read_yaml(path) if path.parent == SHIPPED else from_folder(read_yaml(path), path.parent)
    spec = parse(TaskSpec, data, overrides, where=where)
    if not trust:
        refuse_code(spec.code(), where)
    return spec


def expand(pattern: str, **names: str) -> str:
    """Fill ``{name}`` and ``${VARIABLE}`` in a path pattern.

    Raises SpecError: a variable that is not set, a placeholder that is none of ``names``.

    HARNESS_HOME has a default (``~/.harness``); no other variable has.
    """

    def variable(match: re.Match[str]) -> str:
        name = match[1]
        if name == "HARNESS_HOME":
            return str(home())
        if name not in os.environ:
            raise SpecError(f"{pattern}: the environment variable {name} is not set")
        return os.environ[name]

    for unknown in re.findall(r"(?<!\$)\{(\w+)\}", pattern):
        if unknown not in names:
            raise SpecError(f"{pattern}: no placeholder {{{unknown}}}: {nearest(unknown, names)}")
    filled = re.sub(r"\$\{(\w+)\}", variable, pattern)
    for name, value in names.items():
        filled = filled.replace("{" + name + "}", value)
    return filled


def home() -> Path:
    """Where runs, built databases and caches are kept: HARNESS_HOME, else ``~/.harness``.

    Raises SpecError: there is no such user's folder, or none of this user's.
    """
    place = os.environ.get("HARNESS_HOME") or "~/.harness"
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise SpecError(f"no home directory for '{place}': set HARNESS_HOME to a folder") from None
