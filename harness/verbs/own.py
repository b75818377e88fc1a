"""Verbs about a user's own database: ``init`` and ``ask``."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.arguments import path, positive
from harness.verbs.options import Verbs, add_overrides, add_workers, divided
from tasks.common.errors import HarnessError, SpecError
from tasks.common.terminal import say

if TYPE_CHECKING:
    from harness.own.ask import Asker

DATABASE = "a SQLite or DuckDB file, or a URL such as 'postgresql://user:${PASSWORD}@host/name'"


def add(verbs: Verbs) -> None:
    """Add these verbs to the parser."""
    _init_options(verbs)
    _ask_options(verbs)


def _init_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("init", help="write a task for a database of your own, and check it")
    verb.set_defaults(call=init)
    verb.add_argument("--db", required=True, type=path, metavar="DB", help=DATABASE)
    verb.add_argument(
        "--examples",
        type=path,
        metavar="FILE",
        help="questions with their SQL: csv, tsv, json, jsonl or parquet; default: a template is written",
    )
    verb.add_argument("--name", type=path, help="name of the task; default: the database's")
    verb.add_argument("--out", type=path, default=".", metavar="DIR", help="folder of the task's files")
    add_workers(verb)
    verb.add_argument("--json", action="store_true", help="print JSON")


def _ask_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("ask", help="ask a model a question on a database: its SQL, and the rows")
    verb.set_defaults(call=ask)
    verb.add_argument(
        "question", nargs="?", metavar="QUESTION", help="default: ask for questions, in a terminal"
    )
    verb.add_argument("--model", required=True, metavar="M", help="a model, as for eval")
    source = verb.add_mutually_exclusive_group(required=True)
    source.add_argument("--db", type=path, metavar="DB", help=DATABASE)
    source.add_argument("--task", help="a shipped task or a YAML file, whose prompt and limits are used")
    verb.add_argument(
        "--database", default="", metavar="ID", help="one of the task's databases; default: its only one"
    )
    verb.add_argument("--evidence", default="", metavar="TEXT", help="a hint that the prompt shows")
    verb.add_argument("--show-schema", action="store_true", help="print the schema as the prompt shows it")
    verb.add_argument("--rows", type=positive, default=20, metavar="N", help="most rows that are printed")
    verb.add_argument("--base-url", metavar="URL", default="", help="base URL of the server of openai:NAME")
    verb.add_argument(
        "--max-new-tokens", type=positive, default=0, help="most tokens of an answer; default: the task's"
    )
    add_overrides(verb, " or runner.KEY=VALUE")
    verb.add_argument("--json", action="store_true", help="print JSON")


def init(options: argparse.Namespace) -> int:
    """``harness init``: write a task and check it; exit 1 if a gold fails."""
    from harness.own.new_task import new_task
    from harness.own.place import place_of
    from harness.render.new_task import render_new_task
    from harness.render.output import emit

    out = Path(options.out)
    if out.suffix in (".yaml", ".yml"):
        raise SpecError(f"--out {out}: name a folder; the file in it is called by --name")
    place = place_of(options.db, options.name or "")
    examples = Path(options.examples) if options.examples else None
    made = new_task(place, examples, out, options.workers)
    emit(made, render_new_task, options.json)
    return int(bool(made.failing))


def ask(options: argparse.Namespace) -> int:
    """``harness ask``: one question, or a question after the other; exit 1 if the only one got no rows."""
    if options.question is None and not (sys.stdin and sys.stdin.isatty()):
        raise SpecError("no question: write it in quotes at the end of the command")
    if options.question is not None and not options.question.strip():
        raise SpecError("the question is empty")
    with _asker(options) as asker:
        if options.question is not None:
            return _answer(asker, options, options.question)
        with suppress(ImportError):
            import readline  # noqa: F401 - the arrow keys edit the line
        say("ask a question; an empty line ends")
        with suppress(EOFError):
            while question := input("> ").strip():
                try:
                    _answer(asker, options, question)
                except HarnessError as error:
                    say(f"harness ask: {error}")
    return 0


def _asker(options: argparse.Namespace) -> Asker:
    from harness.own.ask import Asker, target, task_of_place
    from harness.own.place import place_of
    from harness.spec import EvalSpec
    from runners.settings import RunnerConfig
    from tasks.common.parse import parse
    from tasks.task import Task

    settings, overrides = divided(options.overrides, "runner.")
    runner = parse(RunnerConfig, {"endpoint": {"base_url": options.base_url}}, settings, where="--set runner")
    if options.db:
        task = task_of_place(place_of(options.db), overrides)
    else:
        task = Task.named(options.task, overrides, options.trust_task)
    spec = EvalSpec(
        runner=runner, model=options.model, task=options.task or "", max_new_tokens=options.max_new_tokens
    )
    return Asker(task, target(task, options.database), spec)


def _answer(asker: Asker, options: argparse.Namespace, question: str) -> int:
    """Print one answer; 1 if it has no rows."""
    from harness.render.ask import render_answer
    from harness.render.output import emit

    answer = asker.ask(question, options.evidence)
    if options.json:
        print(json.dumps(answer.as_dict(options.rows), indent=2))
    else:
        emit(answer, lambda one: render_answer(one, options.rows, options.show_schema), False)
    if answer.problem:
        say(f"harness ask: {answer.problem}")
    return int(bool(answer.problem))
