"""A task spec: one YAML file with the dataset, the databases, the prompt and the scoring of a task.

Every section is frozen and refuses unknown keys. ``load`` finds a shipped task by name or a file by path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.about import AboutSpec
from tasks.common.errors import SpecError, nearest
from tasks.common.named_code import refuse_untrusted
from tasks.common.parse import Spec, parse, read_yaml
from tasks.databases.private.names import patterns
from tasks.databases_spec import DatabasesSpec
from tasks.dataset import DatasetSpec
from tasks.security import SecuritySpec
from tasks.terms import TermsSpec
from tasks.types import Limits, Mode

SHIPPED = Path(__file__).parent
COMPLETION = "completion"
"""The shipped template of prompts for base models. It opens a code block, whose end is the answer's."""
FENCE = "```"


class SchemaSpec(Spec):
    """How the schema is shown in the prompt."""

    format: Literal["ddl", "compact"] = "compact"
    """``ddl``: CREATE statements; ``compact``: one line for each table."""
    keys: bool = True
    """Show primary and foreign keys in the compact format."""
    rows: int = Field(0, ge=0, le=20)
    """Rows of each table that the prompt shows."""
    values: bool = False
    """Show the column values that occur in the question."""
    comments: bool = False
    """Show comments on tables and columns, also those of BIRD's ``database_description/*.csv``."""
    max_tokens: int = Field(0, ge=0)
    """A schema of more (estimated) tokens is cut to the tables and columns of the question; 0: no limit."""


class ExamplesSpec(Spec):
    """Few-shot examples in the prompt: training questions with their golds."""

    count: int = Field(0, ge=0, le=64)
    """Number of solved questions in the prompt; 0: none."""
    pick: Literal["fixed", "nearest"] = "fixed"
    """``fixed``: the same for every question; ``nearest``: the questions with the most similar words."""
    seed: int = 0
    """The seed of ``fixed``."""


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
    completion: bool | None = None
    """The prompt is text that the model continues, for base models: it ends where the query begins, and no
    chat template is applied; null: only with ``template: completion``."""
    max_tokens: int = Field(0, ge=0)
    """``harness check`` counts the prompts with more tokens than this; 0: no limit."""

    @cached_property
    def is_completion(self) -> bool:
        """Whether the model continues the prompt's text instead of answering chat messages."""
        return self.template == COMPLETION if self.completion is None else self.completion


class ScoringSpec(Spec):
    """How an answer is scored."""

    metric: Mode = Mode.STRICT
    """The mode of the headline metric."""
    modes: tuple[Mode, ...] = (Mode.STRICT,)
    """The modes in which every answer is judged, from one execution."""
    reward: str = "gated"
    """The training reward: a preset, or a custom reward as ``module:Class``."""
    weights: Mapping[str, float] = Field(default_factory=dict)
    """Weights of scorers; if set, the training reward is their weighted mean instead of a preset."""
    terms: TermsSpec | None = None
    """Penalties on the training reward."""
    transpile_gold: bool = False
    """Translate golds from ``dataset.dialect`` to the engine of ``databases.copy_to``. A question counts
    only if a translated gold returns the rows that the gold returns on the original database."""
    security: SecuritySpec | None = None
    """Check answers for writes, injection and forbidden tables; ``{}`` allows all tables; null: no check."""
    instances: int = Field(1, ge=1)
    """On how many instances of the database a result must equal the gold's, in strict mode."""
    feedback_rows: int = Field(0, ge=0)
    """In a conversation, how many rows of its query's result the model sees, so that it can confirm or
    correct the query; 0: the first query that returns rows is final."""
    seconds: float = Field(Limits().seconds, gt=0)
    """Deadline of a query in seconds; the worker that runs it is killed when it passes."""
    steps: int = Field(Limits().steps, gt=0)
    """Most SQLite virtual-machine instructions of a query."""
    rows: int = Field(Limits().rows, gt=0)
    """Most rows of a result; a longer result is refused, not cut."""
    cells: int = Field(Limits().cells, gt=0)
    """Most cells of a result."""
    bytes: int = Field(Limits().bytes, gt=0)
    """Bytes of text and blobs in one result; one value may take an eighth of them."""

    def limits(self) -> Limits:
        """The limits of one execution under this spec."""
        return Limits(self.seconds, self.steps, self.rows, self.cells, self.bytes)


class AnswerSpec(Spec):
    """Default settings of sampling; the command line overrides them."""

    max_new_tokens: int = Field(256, gt=0)
    """Most tokens of an answer."""
    stop: tuple[str, ...] = ()
    """Strings at which an answer ends."""


class TaskSpec(Spec):
    """A whole task."""

    name: str
    """Name of the task, as boards and runs show it."""
    version: int = 1
    """Version of the task, recorded in every run."""
    description: str = ""
    """One sentence that ``harness tasks NAME`` prints."""
    about: AboutSpec = AboutSpec()
    """Where the dataset comes from."""
    dataset: DatasetSpec
    """Where the questions come from."""
    databases: DatabasesSpec = DatabasesSpec()
    """Where the databases are."""
    prompt: PromptSpec = PromptSpec()
    """How a question becomes chat messages."""
    scoring: ScoringSpec = ScoringSpec()
    """How an answer is scored."""
    answer: AnswerSpec = AnswerSpec()
    """Default settings for drawing an answer; the command line overrides them."""
    private: tuple[str, ...] = ()
    """Tables and columns that no prompt shows and no query may read: ``table``, ``table.column`` or
    ``schema.table.column``, where ``*`` stands for any characters."""

    @model_validator(mode="before")
    @classmethod
    def _stops_at_the_fence(cls, data: Any) -> Any:
        """``answer.stop`` of the shipped completion template, where the task sets none."""
        prompt, answer = (data.get(key) or {} for key in ("prompt", "answer"))
        if isinstance(prompt, dict) and prompt.get("template") == COMPLETION and isinstance(answer, dict):
            return {**data, "answer": {"stop": [FENCE], **answer}}
        return data

    @model_validator(mode="after")
    def _compares_results(self) -> Self:
        modes = {self.scoring.metric, *self.scoring.modes}
        for column, mode in (("answers", Mode.DENOTATION), ("results", Mode.SPIDER2)):
            if getattr(self.dataset.fields, column) and (modes != {mode} or self.scoring.instances > 1):
                raise ValueError(
                    f"dataset.fields.{column} gives no SQL: set scoring.metric to {mode}, scoring.modes to"
                    f" [{mode}] and scoring.instances to 1"
                )
        return self

    @property
    def translates(self) -> bool:
        """Whether golds are translated."""
        written = self.dataset.dialect or self.databases.engine
        return self.scoring.transpile_gold and written != self.databases.runs_on

    @model_validator(mode="after")
    def _golds_can_run(self) -> Self:
        databases, runs_on = self.databases, self.databases.runs_on
        written = self.dataset.dialect or databases.engine
        if written != runs_on and not self.scoring.transpile_gold:
            raise ValueError(
                f"golds for {written} do not run on {runs_on}: set scoring.transpile_gold: true to translate"
                f" them, or dataset.dialect: {runs_on} if they are written for it"
            )
        if self.translates and written != databases.engine:
            raise ValueError(
                f"scoring.transpile_gold: a translated gold is compared with the gold on a {written}"
                f" database, and databases.engine is {databases.engine}"
            )
        if databases.copy_to and Mode.SPIDER_TS in {self.scoring.metric, *self.scoring.modes}:
            raise ValueError(
                "databases.copy_to: spider_ts needs all instances, and only scoring.instances of"
                " them are copied: leave it out of scoring.modes, or use spider"
            )
        if databases.copy_to and not self.dataset.gives_sql:
            raise ValueError("databases.copy_to: this dataset gives results for SQLite, not SQL")
        return self

    @field_validator("private")
    @classmethod
    def _are_names(cls, private: tuple[str, ...]) -> tuple[str, ...]:
        patterns(private)
        return private

    @model_validator(mode="after")
    def _can_hide_private_data(self) -> Self:
        if self.private and self.dataset.fields.ddl:
            raise ValueError("private: needs databases.path or databases.url, not a schema in each row")
        if self.private and self.databases.copy_to:
            raise ValueError("private: leave out databases.copy_to: copies on other engines cannot hide data")
        return self

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not name.strip() or name.startswith("/") or {".", ".."} & set(name.split("/")):
            raise ValueError("a task's name must not be empty or a path: set another name")
        return name

    def code(self) -> dict[str, str]:
        """The code that the task names: key of the spec -> ``module:name``."""
        reward = {"scoring.reward": self.scoring.reward} if ":" in self.scoring.reward else {}
        return reward | ({"dataset.path": self.dataset.path} if self.dataset.source == "python" else {})


def shipped() -> list[str]:
    """The names of the shipped tasks."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load(task: str, overrides: Sequence[str] = (), trust: bool = False) -> TaskSpec:
    """The spec of a shipped task (by name) or of a YAML file (by path), with ``key.path=value`` overrides.

    ``trust``: the spec may name code to run (``tasks/common/named_code.py``). Raises SpecError: no such task,
    broken YAML, an unknown key, a wrong value, or code that is not trusted.
    """
    path = SHIPPED / f"{task}.yaml"
    if not re.fullmatch(r"[\w-]+", task) or not path.is_file():
        path = Path(task)
    if not path.is_file():
        raise SpecError(f"no task '{task}': {_missing(path)}")
    where = str(path) if path.parent != SHIPPED else task
    data = read_yaml(path) if path.parent == SHIPPED else _relative_to(read_yaml(path), path.parent)
    spec = _with_whole_path(parse(TaskSpec, data, overrides, where=where))
    if not trust:
        refuse_untrusted(spec.code(), where)
    return spec


def _with_whole_path(spec: TaskSpec) -> TaskSpec:
    """The spec with the whole path of a saved dataset: ``a/b`` could also be a dataset of the Hub."""
    path = Path(spec.dataset.path)
    if spec.dataset.source != "huggingface" or path.is_absolute() or not path.is_dir():
        return spec
    return spec.model_copy(update={"dataset": spec.dataset.model_copy(update={"path": str(path.absolute())})})


def _missing(path: Path) -> str:
    """Why a path is no task file, with the nearest existing name."""
    if path.is_dir():
        return f"it is a folder, expected a YAML file{_similar_file(path / 'task.yaml', '; in it')}"
    return f"not a file{_similar_file(path, ':')}, and not a shipped task ({nearest(str(path), shipped())})"


def _similar_file(path: Path, before: str) -> str:
    """The YAML file beside ``path`` with a similar name, after ``before``; "" if there is none."""
    names = [file.name for file in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    hint = nearest(path.name, names) if names else ""
    return f"{before} {hint.rstrip('?')}" if hint.startswith("did") else ""


def _relative_to(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The data of a YAML file with its relative paths resolved against the file's folder.

    A template is a path if there is such a file. Paths that begin with ``${VARIABLE}`` stay as they are.
    """
    dataset, prompt = data.get("dataset"), data.get("prompt")
    for section, key in (("dataset", "path"), ("databases", "path"), ("databases", "instances")):
        part = data.get(section)
        path = part.get(key) if isinstance(part, dict) else None
        if not isinstance(path, str) or not path or path.startswith(("/", "$", "~")):
            continue
        source = dataset.get("source", "file") if isinstance(dataset, dict) else "file"
        if section == "databases" or source not in ("huggingface", "python") or (folder / path).is_dir():
            data[section] = {**data[section], key: str(folder / path)}
    template = prompt.get("template") if isinstance(prompt, dict) else None
    if isinstance(template, str) and (folder / template).is_file():
        data["prompt"] = {**data["prompt"], "template": str(folder / template)}
    return data
