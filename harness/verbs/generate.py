"""The verb ``generate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.arguments import Parser, path, positive, seed
from harness.verbs.options import Verbs, add_common


def add(verbs: Verbs) -> None:
    """Add this verb to the parser."""
    verb: Parser = verbs.add_parser("generate", help="make questions with SQL for the databases of a task")
    verb.set_defaults(call=generate)
    verb.add_argument(
        "--task", required=True, help="a shipped task or a YAML file, which may have no questions"
    )
    verb.add_argument("--n", type=positive, default=500, metavar="N", help="number of pairs; default: 500")
    verb.add_argument(
        "--out", type=path, metavar="DIR", help="folder of the generated task; default: generated/TASK"
    )
    verb.add_argument("--seed", type=seed, default=0, help="seed of the questions")
    verb.add_argument(
        "--paraphrase",
        default="",
        metavar="MODEL",
        help="reword the questions by this model; a wording without all values is not used",
    )
    add_common(verb)


def generate(options: argparse.Namespace) -> int:
    """``harness generate``: write a generated task."""
    from harness.generation.generate import generate as make
    from harness.render.generation import render_generated
    from harness.render.output import emit
    from tasks.task import Task

    task = Task.named(options.task, options.overrides, options.trust_task)
    out = Path(options.out) if options.out else Path("generated") / task.name
    made = make(task, options.n, options.seed, out, options.paraphrase, options.workers)
    emit(made, render_generated, options.json)
    return 0
