"""Verbs about stored runs: ``runs``, which lists, removes and tags them, ``rerun`` and ``merge``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from harness.arguments import Parser
from harness.verbs.options import Verbs, add_formats, add_trust, add_workers, divided


def add(verbs: Verbs) -> None:
    """Add these verbs to the parser."""
    _runs_options(verbs)
    _rerun_options(verbs)
    _merge_options(verbs)


def _runs_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("runs", help="list the stored runs, remove or tag some")
    verb.set_defaults(call=runs)
    verb.add_argument("--task", default="", help="only runs of this task")
    verb.add_argument("--model", default="", metavar="M", help="only runs of this model")
    verb.add_argument("--tag", default="", metavar="TAG", help="only runs with this tag")
    verb.add_argument("--unfinished", action="store_true", help="only runs that have not ended")
    add_formats(verb)
    actions = verb.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    _remove_options(actions)
    _tag_options(actions)


def _remove_options(actions: Verbs) -> None:
    verb = actions.add_parser("rm", help="remove runs, with all their files")
    verb.set_defaults(call=remove)
    verb.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run's id, the beginning of one, a model or a tag"
    )
    verb.add_argument("--yes", action="store_true", help="do not ask")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _tag_options(actions: Verbs) -> None:
    verb = actions.add_parser("tag", help="add tags to a run, or remove some")
    verb.set_defaults(call=tag)
    verb.add_argument("run", metavar="RUN", help="a run's id, the beginning of one, a model or a tag")
    verb.add_argument("tags", nargs="*", default=[], metavar="TAG", help="tags to add; none: print the tags")
    verb.add_argument(
        "--remove", nargs="*", metavar="TAG", help="remove these tags; alone: the tags before it"
    )
    verb.add_argument("--json", action="store_true", help="print JSON")


def _rerun_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("rerun", help="repeat an evaluation and compare the verdicts")
    verb.set_defaults(call=rerun)
    verb.add_argument("run", metavar="RUN", help="a run's id, the beginning of one, a model or a tag")
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="runner.KEY=VALUE",
        dest="overrides",
        help="a setting of the runner that runs do not store, such as a header with a key",
    )
    add_trust(verb)
    add_workers(verb)
    verb.add_argument("--json", action="store_true", help="print JSON")


def _merge_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("merge", help="make a run of its shards, if the last process could not")
    verb.set_defaults(call=merge)
    verb.add_argument("run", metavar="RUN", help="a run's id, the beginning of one, a model or a tag")
    verb.add_argument("--json", action="store_true", help="print JSON")


def runs(options: argparse.Namespace) -> int:
    """``harness runs``: list the stored runs."""
    from harness.render.as_sheets import catalog_sheets
    from harness.render.output import emit_table
    from harness.render.runs import render_catalog
    from leaderboards.catalog import catalog

    filters = (options.task, options.model, options.tag, options.unfinished)
    emit_table(catalog(*filters), render_catalog, catalog_sheets, options)
    return 0


def _refuse_filters(options: argparse.Namespace) -> None:
    """Raise DataError: a filter of the list before an action, which takes names."""
    from tasks.common.errors import DataError

    for name in ("task", "model", "tag", "unfinished"):
        if getattr(options, name):
            raise DataError(
                f"--{name} is an option of the list: name the runs of harness runs {options.action}"
            )


def remove(options: argparse.Namespace) -> int:
    """``harness runs rm``: remove runs; exit 1 if the answer to the question before is not yes."""
    from harness.render.runs import size
    from leaderboards import catalog
    from tasks.common.terminal import one_line, say

    _refuse_filters(options)
    ids = list(dict.fromkeys(map(catalog.removable, options.runs)))
    lines = {run_id: one_line(f"{run_id}, {size(catalog.size(run_id))}") for run_id in ids}
    if not options.yes and not _confirmed(list(lines.values())):
        say("nothing is removed")
        return 1
    for run_id in ids:
        catalog.remove(run_id)
        if not options.json:
            print(f"removed {lines[run_id]}")
    if options.json:
        print(json.dumps({"removed": ids}, indent=2))
    return 0


def _confirmed(lines: Sequence[str]) -> bool:
    """Ask on the terminal whether to remove these runs. Raises DataError: there is no terminal."""
    from tasks.common.errors import DataError
    from tasks.common.terminal import say

    if sys.stdin is None or not sys.stdin.isatty():
        raise DataError("stdin is no terminal, so nobody can be asked: add --yes to remove the runs")
    question = f"remove {'this run' if len(lines) == 1 else f'these {len(lines)} runs'}? [y/N]"
    for line in (*lines, question):
        say(line)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def tag(options: argparse.Namespace) -> int:
    """``harness runs tag``: add tags to a run and remove others, then print its tags."""
    from leaderboards import catalog, tags
    from tasks.common.terminal import one_line

    _refuse_filters(options)
    run = catalog.taggable(options.run)
    alone = options.remove == []
    if old := options.tags if alone else options.remove:
        tags.remove(run.id, old)
    if options.tags and not alone:
        tags.add(run.id, options.tags)
    present = tags.read(run.id)
    if options.json:
        print(json.dumps({"run": run.id, "tags": list(present)}, indent=2))
    else:
        print(one_line(f"{run.id}: {', '.join(present) or 'no tags'}"))
    return 0


def rerun(options: argparse.Namespace) -> int:
    """``harness rerun``: repeat an evaluation; exit 1 if a verdict differs."""
    from harness.render.output import emit
    from harness.render.rerun import render_rerun
    from harness.rerun import rerun as repeat
    from tasks.common.errors import SpecError

    settings, others = divided(options.overrides, "runner.")
    if others:
        raise SpecError(f"--set {others[0]}: only keys of the runner can be set: runner.KEY=VALUE")
    repeated = repeat(options.run, settings, options.workers, options.trust_task)
    emit(repeated, render_rerun, options.json)
    return int(bool(repeated.changes))


def merge(options: argparse.Namespace) -> int:
    """``harness merge``: make a run of its shards."""
    from harness.verbs.results import emit_board
    from leaderboards import shards
    from leaderboards.catalog import chosen
    from tasks.common.errors import DataError

    run = shards.merge(chosen(options.run).id)
    if not run.finished:
        left = ", ".join(map(str, shards.missing(run.id)))
        raise DataError(f"run {run.id} waits for shard {left}: harness eval --shard")
    emit_board([run], options.json)
    return 0
