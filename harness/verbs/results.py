"""Verbs that show stored runs: ``board``, ``compare`` and ``show``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.arguments import path, port, whole
from harness.verbs.options import Verbs, add_formats, add_trust

if TYPE_CHECKING:
    from leaderboards.types import Run

PORT = 8710
"""The port of ``board --serve``."""


def add(verbs: Verbs) -> None:
    """Add these verbs to the parser."""
    _board_options(verbs)
    _compare_options(verbs)
    _show_options(verbs)


def _board_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("board", help="show the leaderboard")
    verb.set_defaults(call=board)
    verb.add_argument("--task", default="", help="only this task")
    verb.add_argument("--reasons", action="store_true", help="also show why answers failed")
    verb.add_argument(
        "--all", action="store_true", help="in a terminal, also show the runs below the best 50 of a task"
    )
    add_formats(verb)
    verb.add_argument("--html", type=path, metavar="FILE", help="write the leaderboard as one HTML file")
    verb.add_argument(
        "--serve", action="store_true", help="show the page on this machine, and follow the runs that go on"
    )
    verb.add_argument(
        "--tables",
        type=whole,
        metavar="N",
        help="answers of each task that --html runs again, for tables of their results; default: 800",
    )
    verb.add_argument(
        "--newest",
        type=whole,
        metavar="N",
        help="runs whose answers the page holds, the newest; older ones are in its table only; default: 20",
    )
    add_trust(verb)
    verb.add_argument("--port", type=port, help="port of --serve; default: 8710; 0: any free one")


def _compare_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("compare", help="compare runs question by question")
    verb.set_defaults(call=compare)
    verb.add_argument("a", metavar="A", help="a run's id, the beginning of one, or a model")
    verb.add_argument("b", metavar="B", help="the run to compare with A")
    verb.add_argument("more", metavar="C", nargs="*", default=[], help="more runs: every pair is tested")
    verb.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="'B < A'",
        help="exit with 1 if the second run is significantly worse than the first; may be repeated",
    )
    add_formats(verb)


def _show_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("show", help="show the evidence for one answer")
    verb.set_defaults(call=show)
    verb.add_argument("run", metavar="RUN", help="a run's id, the beginning of one, or a model")
    verb.add_argument("sample", metavar="QUESTION", help="id of the question")
    add_trust(verb)
    verb.add_argument("--json", action="store_true", help="print JSON")


def board(options: argparse.Namespace) -> int:
    """``harness board``: print the leaderboard."""
    from leaderboards.find import expect_task

    _refuse_unused(options)
    if options.task:
        expect_task(options.task)
    return _page(options) if options.html or options.serve else _table(options)


def _refuse_unused(options: argparse.Namespace) -> None:
    """Raise SpecError: an option that has no effect beside the others."""
    from tasks.common.errors import SpecError

    page, file = bool(options.html or options.serve), bool(options.html)
    needs = (
        (options.port is not None and not options.serve, "--port", "--serve"),
        (options.tables is not None and not file, "--tables", "--html"),
        (options.newest is not None and not page, "--newest", "--html or --serve"),
        (options.trust_task and not page, "--trust-task", "--html or --serve"),
        ((options.json or options.form or options.reasons or options.all) and page, "", ""),
    )
    for wrong, option, other in needs:
        if wrong and option:
            raise SpecError(f"{option} is an option of {other}")
        if wrong:
            raise SpecError("--html and --serve write the page: leave out the options of the table")


def _table(options: argparse.Namespace) -> int:
    from harness.render.as_sheets import board_sheets
    from harness.render.board import render_board
    from harness.render.output import emit_table
    from leaderboards import board as boards

    render = partial(render_board, reasons=options.reasons, every=options.all)
    emit_table(boards.board(task=options.task), render, board_sheets, options)
    return 0


def _page(options: argparse.Namespace) -> int:
    import gc

    from harness.page.collect import MOST, Collector
    from harness.page.tables import ANSWERS
    from harness.page.write import write_page

    collector = Collector(options.task, MOST if options.newest is None else options.newest)
    if options.html:
        answers = ANSWERS if options.tables is None else options.tables
        gc.disable()  # it takes a tenth of the time, and nothing is freed before the page is written
        write_page(collector.page(), Path(options.html), answers, options.trust_task)
        gc.enable()
        print(f"{options.html}: open it in a browser")
    if options.serve:
        from harness.page.serve import serve

        serve(collector, PORT if options.port is None else options.port, options.trust_task)
    return 0


def compare(options: argparse.Namespace) -> int:
    """``harness compare``: compare runs question by question; 1 if a condition of ``--fail-if`` holds."""
    from harness.render.as_sheets import comparison_sheets
    from harness.render.compare import render_gated
    from harness.render.output import emit_table
    from leaderboards import gate
    from leaderboards.compare import compare as compare_two
    from leaderboards.matrix import compare_all
    from tasks.common.terminal import say

    names = [options.a, options.b, *options.more]
    conditions = [gate.condition(text, len(names)) for text in options.fail_if]
    result = gate.check(compare_all(names) if options.more else compare_two(*names), conditions)
    emit_table(result, render_gated, comparison_sheets, options)
    for failed in result.failed:
        say(f"--fail-if {failed.condition}: {failed.text}")
    return 1 if result.failed else 0


def show(options: argparse.Namespace) -> int:
    """``harness show``: print the evidence for one question, with the results of gold and answers."""
    from harness.render.evidence import render_evidence
    from harness.render.output import emit
    from harness.results import EvidenceWithResults, results
    from leaderboards import evidence

    found = evidence.show(options.run, options.sample)
    shown = EvidenceWithResults(found, results(found.run, found.records, 1, options.trust_task))
    emit(shown, render_evidence, options.json)
    return 0


def emit_board(runs: Sequence[Run], as_json: bool, reasons: bool = False) -> None:
    """Print the board of these runs alone."""
    from harness.render.board import render_board
    from harness.render.output import emit
    from leaderboards.board import board

    emit(board([run.id for run in runs]), partial(render_board, reasons=reasons), as_json)
