"""Options that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TypeAlias

from harness.arguments import Parser, cluster, positive, seed, share

Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_sampling(verb: Parser) -> None:
    """Add the options of sampling answers."""
    verb.add_argument(
        "--base-url",
        action="append",
        default=[],
        metavar="URL",
        help="base URL of the server of openai:NAME, or a file with one on each line; may be repeated for "
        "servers that share the questions",
    )
    verb.add_argument(
        "--turns",
        type=positive,
        default=1,
        metavar="N",
        help="most answers to a question: a failed query may be corrected",
    )
    verb.add_argument("--top-p", type=share, default=1.0, metavar="P", help="nucleus sampling")
    verb.add_argument("--seed", type=seed, default=0, help="seed of sampling")
    verb.add_argument(
        "--max-new-tokens", type=positive, default=0, help="most tokens of an answer; default: the task's"
    )


def add_questions(verb: Parser) -> None:
    """Add the options that choose questions."""
    verb.add_argument("--split", default="", help="split of the dataset; default: the task's")
    verb.add_argument("--limit", type=positive, default=0, metavar="N", help="use only the first N questions")
    verb.add_argument("--sample-seed", type=seed, default=None, help="shuffle the questions before --limit")


def add_engine(verb: Parser) -> None:
    """Add ``--engine``."""
    verb.add_argument(
        "--engine",
        metavar="E",
        default="",
        help="run on copies of the databases: duckdb, postgres (the embedded server) or a URL; golds are"
        " translated (docs/how-to/engines.md)",
    )


def on_engine(task: str, engine: str, overrides: Sequence[str], trust: bool) -> list[str]:
    """The overrides under which a task runs on an engine; as they are where ``engine`` is "".

    Raises SpecError.
    """
    if not engine:
        return [*overrides]
    from tasks.common.terminal import say
    from tasks.spec import load
    from tasks.types import Mode

    spec = load(task, overrides, trust)
    if engine == spec.databases.engine:
        return [*overrides, "databases.copy_to=''"]
    added = [f"databases.copy_to='{engine}'", "scoring.transpile_gold=true"]
    if Mode.SPIDER_TS in spec.scoring.modes:
        say("spider_ts needs every instance of a database, and not all are copied: it is left out")
        kept = [mode.value for mode in spec.scoring.modes if mode is not Mode.SPIDER_TS]
        added.append(f"scoring.modes=[{', '.join(kept)}]")
    return [*overrides, *added]


def add_common(verb: Parser, also: str = "") -> None:
    """Add the options of verbs that judge answers of a task; ``also`` ends the help of ``--set``."""
    add_overrides(verb, also)
    add_workers(verb)
    verb.add_argument("--json", action="store_true", help="print JSON")


def add_overrides(verb: Parser, also: str = "") -> None:
    """Add the options of verbs that read a task; ``also`` ends the help of ``--set``."""
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a key of the task (scoring.seconds=10)" + also,
    )
    add_trust(verb)


def add_workers(verb: Parser) -> None:
    """Add the option of the number of scoring processes."""
    verb.add_argument(
        "--workers", type=positive, default=0, help="scoring processes; default: one for each core"
    )


def add_on(verb: Parser) -> None:
    """Add ``--on``, where answers are scored."""
    verb.add_argument(
        "--on",
        type=cluster,
        metavar="CLUSTER",
        help="score on the nodes of a Ray cluster: ray (the one that runs here, else a new one here)"
        " or ray://host:port; --workers is then the number on each node (docs/how-to/scale.md)",
    )


def add_formats(verb: Parser) -> None:
    """Add the forms in which a table is printed."""
    forms = verb.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print JSON")
    for name, text in (("csv", "print CSV"), ("markdown", "print Markdown for a paper or a pull request")):
        forms.add_argument(f"--{name}", action="store_const", const=name, default="", dest="form", help=text)


def add_trust(verb: Parser) -> None:
    """Add ``--trust-task``."""
    verb.add_argument(
        "--trust-task",
        action="store_true",
        help="allow the task to run code (module:name), also from the current folder",
    )


def divided(overrides: Sequence[str], prefix: str) -> tuple[list[str], list[str]]:
    """Split overrides: those that start with ``prefix``, without it, and the others."""
    selected = [item.removeprefix(prefix) for item in overrides if item.startswith(prefix)]
    return selected, [item for item in overrides if not item.startswith(prefix)]
