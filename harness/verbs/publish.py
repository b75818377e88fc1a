"""Verbs that hand on a task or a run: ``export`` and ``push``."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from harness.adapters.programs import PROGRAMS
from harness.arguments import path, positive
from harness.verbs.options import Verbs, add_overrides
from tasks.common.errors import MissingExtra, SpecError, nearest
from tasks.common.terminal import say

FORMATS = ("csv", "lm-eval", "every-eval-ever", "inspect", "wandb")
"""Formats that a run is written in; ``harness.publishing.formats`` has their writers."""
WHOLE = ("lm-eval", "prime-rl")
"""The programs that read a split by themselves, as a whole."""


def add(verbs: Verbs) -> None:
    """Add these verbs to the parser."""
    _export_options(verbs)
    _push_options(verbs)


def _export_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("export", help="write a run in another format, or a task for another program")
    verb.set_defaults(call=export)
    verb.add_argument(
        "what",
        metavar="WHAT",
        help=f"with --to: a run's id, the beginning of one, or a model; with --task: {', '.join(PROGRAMS)}",
    )
    verb.add_argument("--to", choices=FORMATS, help="write the run WHAT in this format")
    verb.add_argument("--task", help="write this task (a shipped one or a YAML file) for the program WHAT")
    verb.add_argument(
        "--out",
        type=path,
        metavar="PATH",
        help="csv and inspect: file; other formats: folder; lm-eval: folder for --include_path"
        " (default: lm_eval_tasks); other programs: new folder",
    )
    verb.add_argument("--model-id", default="", metavar="ORG/NAME", help="run: name of the model in the file")
    verb.add_argument(
        "--split", default="", help="split; trainers: to evaluate on; default: the task's eval_split"
    )
    verb.add_argument("--limit", type=positive, default=0, metavar="N", help="first N questions of a split")
    verb.add_argument("--model", default="Qwen/Qwen3-0.6B", metavar="M", help="trainers: model to train")
    verb.add_argument(
        "--turns", type=positive, default=1, metavar="N", help="prime-rl, skyrl: most answers to a question"
    )
    add_overrides(verb)


def _push_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("push", help="push a run's model, scores and records to the Hugging Face Hub")
    verb.set_defaults(call=push)
    verb.add_argument("run", metavar="RUN", help="a run's id, the beginning of one, or a model")
    verb.add_argument(
        "--to", required=True, metavar="ORG/NAME", help="model repository; records go to ORG/NAME-records"
    )
    verb.add_argument("--public", action="store_true", help="make the repositories public; default: private")
    verb.add_argument("--no-records", action="store_true", help="leave out the questions and answers")
    verb.add_argument(
        "--dry-run", type=path, metavar="DIR", help="write everything to a new folder instead; needs no token"
    )


def export(options: argparse.Namespace) -> int:
    """``harness export``: write a run in another format, or a task for another program."""
    if bool(options.to) == bool(options.task):
        raise SpecError(
            "write a run with --to FORMAT (harness export RUN --to csv --out FILE), or a task with --task"
            " (harness export lm-eval --task TASK)"
        )
    return _export_run(options) if options.to else _export_task(options)


def _export_run(options: argparse.Namespace) -> int:
    """Write a run and print the files."""
    from harness.publishing.evaluation import Published, expect_hub_id
    from harness.publishing.formats import WRITERS

    if not options.out:
        raise SpecError(f"--to {options.to}: name the file or folder to write with --out")
    if options.model_id:
        expect_hub_id("--model-id", options.model_id)
    published = Published.find(options.what, options.model_id)
    for written in WRITERS[options.to](published, Path(options.out)):
        print(written)
    return 0


def _export_task(options: argparse.Namespace) -> int:
    """Write a task for a program, and print what the program needs or the command that uses it."""
    from harness.adapters.options import ExportOptions
    from harness.adapters.programs import exporter

    if options.what not in PROGRAMS:
        raise SpecError(f"no program '{options.what}' for a task: {nearest(options.what, PROGRAMS)}")
    if options.limit and options.what in WHOLE:
        raise SpecError(f"export {options.what}: leave out --limit: it reads a whole split")
    settings = ExportOptions(
        task=options.task,
        overrides=tuple(options.overrides),
        trust=options.trust_task,
        split=options.split,
        limit=options.limit,
        out=options.out or "",
        model=options.model,
        turns=options.turns,
    )
    print(exporter(options.what)(settings), end="")
    return 0


def push(options: argparse.Namespace) -> int:
    """``harness push``: upload a run's records and model, or write them to a folder."""
    from harness.publishing import repositories
    from harness.publishing.evaluation import Published, expect_hub_id

    if find_spec("huggingface_hub") is None:
        raise MissingExtra("huggingface_hub", "train")
    expect_hub_id("--to", options.to)
    published = Published.find(options.run, options.to)
    planned = repositories.repositories(published, options.to, not options.no_records)
    if planned[-1].kind == "dataset":
        say(f"{published.run.model} has no folder: only the records are pushed")
    if options.dry_run:
        repositories.write(planned, Path(options.dry_run))
        for file in sorted(Path(options.dry_run).rglob("*")):
            if file.is_file():
                print(file)
        return 0
    from harness.publishing import hub

    for pushed in hub.push(planned, options.public):
        state = "pushed" if pushed.changed else "already there, equal"
        print(f"{pushed.url}  {pushed.tag}  {'private' if pushed.private else 'public'}  {state}")
    return 0
