"""The verb ``serve``: scoring over HTTP."""

from __future__ import annotations

import argparse

from harness.arguments import Parser, port, positive
from harness.verbs.options import Verbs, add_overrides, add_workers

PORT = 8711
MEGABYTE = 2**20


def add(verbs: Verbs) -> None:
    """Add the verb to the parser."""
    verb = verbs.add_parser("serve", help="score answers over HTTP, for trainers elsewhere")
    verb.set_defaults(call=serve)
    verb.add_argument(
        "--task",
        action="append",
        required=True,
        help="a shipped task or a YAML file; may be repeated",
    )
    verb.add_argument(
        "--split",
        action="append",
        default=[],
        help="serve only this split's questions; may be repeated; default: all splits that are there",
    )
    verb.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; all but this machine's own need HARNESS_TOKEN; default: 127.0.0.1",
    )
    verb.add_argument("--port", type=port, default=PORT, help=f"default: {PORT}; 0: any free one")
    _add_limits(verb)
    add_workers(verb)
    add_overrides(verb)


def _add_limits(verb: Parser) -> None:
    verb.add_argument(
        "--max-body", type=positive, default=8, metavar="MB", help="most megabytes of a request; default: 8"
    )
    verb.add_argument(
        "--max-items",
        type=positive,
        default=1024,
        metavar="N",
        help="most answers of a request; default: 1024",
    )
    verb.add_argument(
        "--max-queue",
        type=positive,
        default=10_000,
        metavar="N",
        help="most answers of all requests, above which they are refused (429); default: 10000",
    )


def serve(options: argparse.Namespace) -> int:
    """``harness serve``: score answers until SIGTERM or Ctrl-C."""
    from tasks.common.errors import MissingExtra, SpecError
    from tasks.task import Task

    try:
        from harness.service.run import Settings
        from harness.service.run import serve as run
        from harness.service.types import ServiceLimits
    except ImportError as error:
        raise MissingExtra(str(error.name), "serve") from None
    if options.max_items > options.max_queue:
        raise SpecError(
            f"--max-queue {options.max_queue}: it is less than --max-items {options.max_items}:"
            " a full request would never be let in"
        )
    limits = ServiceLimits(options.max_body * MEGABYTE, options.max_items, options.max_queue)
    settings = Settings(options.host, options.port, options.split, options.workers, limits)
    run(settings, [Task.named(name, options.overrides, options.trust_task) for name in options.task])
    return 0
