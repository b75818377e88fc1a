"""Render a question as chat messages: the schema as text, and a Jinja template around it.

The schema comes before examples and question, so that all questions on one database share a token prefix.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from jinja2.meta import find_referenced_templates, find_undeclared_variables

from tasks.common.errors import SpecError, nearest
from tasks.common.files import state
from tasks.common.jinja import MAX_CHARACTERS, Environment, joined
from tasks.databases.sql_text import RESERVED, only
from tasks.types import Cell, Message, Sample, Schema, Table, cell_text

if TYPE_CHECKING:
    from tasks.spec import PromptSpec, SchemaSpec  # whose import would slow down the page

REPEATS = 4
"""The limit of a prompt is MAX_CHARACTERS plus so many times its inputs, which a template may repeat."""
LONGEST_CELL, LONGEST_NOTE = 40, 200
"""Characters of a value and of a comment that a prompt shows."""
_QUOTED = re.compile(r"""("[^"]*"|'[^']*')""")
TEMPLATES = Path(__file__).parent / "templates"
ENGINE_NAMES = {"sqlite": "SQLite", "duckdb": "DuckDB", "postgres": "PostgreSQL", "mariadb": "MariaDB"}


def messages(
    spec: PromptSpec, engine: str, schema: Schema, sample: Sample, examples: Sequence[Sample] = ()
) -> tuple[Message, ...]:
    """The chat messages that ask one question. Raises SpecError: the template is missing or fails."""
    template = parsed_template(spec.template)
    if examples and "examples" not in template.names:
        raise SpecError(f"template '{spec.template}' shows no examples: loop over 'examples' in it")
    template.environment.start()
    try:
        rendered = render_schema(spec.schema_, schema)
        pieces = template.template.generate(
            schema=rendered,
            examples=examples,
            question=sample.question,
            evidence=sample.evidence if spec.evidence else "",
            engine=ENGINE_NAMES[engine],
            database=sample.database,
        )
        content = joined(pieces, MAX_CHARACTERS + REPEATS * _size(rendered, [sample, *examples]))
    except jinja2.UndefinedError as error:
        raise SpecError(f"template '{spec.template}': {error.message}") from None
    except Exception as error:  # the functions that a template calls may raise any error
        raise SpecError(f"template '{spec.template}': {type(error).__name__}: {error}") from None
    text = content.lstrip() if spec.is_completion else content.strip()
    user = Message(role="user", content=text)
    return (Message(role="system", content=spec.system), user) if spec.system else (user,)


def _size(schema: str, samples: Sequence[Sample]) -> int:
    """Characters of the inputs of a template."""
    texts = (text for sample in samples for text in (sample.question, sample.evidence, *sample.gold))
    return len(schema) + sum(map(len, texts))


def template_texts(name: str) -> dict[str, str]:
    """The texts of a template and of all templates that it includes, imports or extends, by file name.

    Raises SpecError: a file is missing, or a name in the template is no literal string.
    """
    return {file_name: file.read_text(encoding="utf-8") for file_name, file in _files(name).items()}


def _files(name: str) -> dict[str, Path]:
    """A template's file first, then the files that it includes, from its own folder or shipped ones."""
    main = _located(name)
    files: dict[str, Path] = {}
    waiting = [main.name]
    while waiting:
        file_name = waiting.pop()
        if file_name in files:
            continue
        paths = [path for folder in (main.parent, TEMPLATES) if (path := folder / file_name).is_file()]
        if not paths or ".." in Path(file_name).parts or Path(file_name).is_absolute():
            raise SpecError(f"template '{name}' includes '{file_name}': no such file beside it")
        files[file_name] = paths[0]
        try:
            tree = jinja2.Environment().parse(paths[0].read_text(encoding="utf-8"))
        except jinja2.TemplateSyntaxError as error:
            raise SpecError(f"template '{file_name}', line {error.lineno}: {error.message}") from None
        for included in find_referenced_templates(tree):
            if included is None:
                raise SpecError(f"template '{file_name}': an included file must be a literal string")
            waiting.append(included)
    return files


def _located(name: str) -> Path:
    shipped = TEMPLATES / f"{name}.jinja"
    path = shipped if shipped.is_file() else Path(name)
    if not path.is_file():
        known = [file.stem for file in TEMPLATES.glob("*.jinja")]
        raise SpecError(f"no prompt template '{name}': {nearest(name, known)}")
    return path


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template, the variables it uses, and its files with their states when they were read."""

    template: jinja2.Template
    environment: Environment
    names: frozenset[str]
    files: tuple[tuple[Path, str], ...]

    def current(self) -> bool:
        """Whether no file has changed since."""
        return all(file.is_file() and state(file) == before for file, before in self.files)


_parsed: dict[str, Template] = {}


def parsed_template(name: str) -> Template:
    """The template of a name, parsed again if one of its files has changed."""
    if name not in _parsed or not _parsed[name].current():
        states = tuple((file, state(file)) for file in _files(name).values())
        texts = template_texts(name)
        environment = Environment(
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,
            loader=jinja2.DictLoader(texts),
        )
        used = (find_undeclared_variables(environment.parse(text)) for text in texts.values())
        try:
            template = environment.get_template(next(iter(texts)))
        except jinja2.TemplateError as error:
            raise SpecError(f"template '{name}': {error.message}") from None
        _parsed[name] = Template(template, environment, frozenset(chain.from_iterable(used)), states)
    return _parsed[name]


def render_schema(spec: SchemaSpec, schema: Schema) -> str:
    """The schema as text for the prompt.

    ``compact`` is one line a table: ``member(id integer pk, name text, branch_id integer -> branch.id)``.
    """
    blocks = [render_table(spec, table) for table in schema.tables]
    if spec.values and schema.values:
        blocks.append(_render_values(schema))
    return ("\n\n" if spec.format == "ddl" else "\n").join(blocks)


def render_table(spec: SchemaSpec, table: Table) -> str:
    """One table as text: its columns, then its comments and rows as SQL comments."""
    lines = [_statement(table.ddl) if spec.format == "ddl" else _compact(table, spec.keys)]
    if spec.comments:
        lines += _comments(table, lines[0])
    if spec.rows and table.rows:
        names = " | ".join(column.name for column in table.columns)
        lines.append(f"-- {names}")
        lines += ["-- " + " | ".join(_cell(cell) for cell in row) for row in table.rows[: spec.rows]]
    return "\n".join(lines)


def _statement(ddl: str) -> str:
    """The DDL with one semicolon, which no comment at its end hides."""
    return (only(ddl) or ddl.strip()) + ";"


def _comments(table: Table, shown: str) -> list[str]:
    """The comments that the shown text does not have, a line for each."""
    named = [("", table.comment), *((f"{column.name}: ", column.comment) for column in table.columns)]
    return [
        f"-- {name}{_shortened(comment, LONGEST_NOTE)}"
        for name, comment in named
        if comment and comment not in " ".join(shown.split())
    ]


def _compact(table: Table, keys: bool) -> str:
    schema = quoted(table.schema) + "." if table.schema else ""
    targets = {key.column: key for key in table.foreign_keys} if keys else {}
    parts = []
    for column in table.columns:
        part = f"{quoted(column.name)} {_lowered(column.type)}".strip()
        if keys and column.primary_key:
            part += " pk"
        if key := targets.get(column.name):
            part += f" -> {schema}{quoted(key.other_table)}.{quoted(key.other_column)}"
        parts.append(part)
    return f"{schema}{quoted(table.name)}({', '.join(parts)})"


def _lowered(kind: str) -> str:
    """A type in lower case, without change to the names and texts in quotes in it."""
    return "".join(part if part[:1] in ("'", '"') else part.lower() for part in _QUOTED.split(kind))


def _render_values(schema: Schema) -> str:
    values = [
        f"{column}: {', '.join(repr(value) for value in values)}" for column, values in schema.values.items()
    ]
    return "Values in the question: " + "; ".join(values)


def _cell(cell: Cell) -> str:
    text = "NULL" if cell is None else f"<{len(cell)} bytes>" if isinstance(cell, bytes) else str(cell)
    text = cell_text(cell) if isinstance(cell, tuple) else text
    return _shortened(" ".join(text.split()), LONGEST_CELL)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def quoted(name: str) -> str:
    """A name as SQL needs it: unquoted if it is a plain lower-case word, else in double quotes."""
    if re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'
