"""The command line. Each verb is a function of ``harness.verbs``.

Only the standard library is imported before ``main`` runs, so that a Ctrl-C during the other imports is
reported in one line too.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as in typing, whose import is so slow that a Ctrl-C may come during it
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

EPILOG = """\
first steps:
  harness demo                                   base -> SFT -> GRPO -> leaderboard, offline
  harness init --db my.sqlite                    a task for a database of your own
  harness check spider                           prove a task before you trust it
  harness eval --model nano --task pocket        how often does it return the right rows?
  harness eval --model replay:FILE --task spider judge stored answers
  harness board                                  what has been measured so far
"""


def parser() -> argparse.ArgumentParser:
    """The parser of all verbs; ``tests/test_docs.py`` reads the README's commands with it."""
    from argparse import RawDescriptionHelpFormatter

    from harness.arguments import Parser, Version
    from harness.verbs import (
        databases,
        generate,
        listings,
        measure,
        own,
        publish,
        results,
        runs,
        serve,
        tasks,
        train,
    )

    top = Parser(
        prog="harness",
        description="Measure and train language models that write SQL.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=Version, help="print the version")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for subject in (measure, train, tasks, own, generate, databases, results, runs, publish, serve, listings):
        subject.add(verbs)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. Exit codes: 0 done, 1 something failed, 2 a user error, 130 Ctrl-C."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        _say("harness: stopped; what was finished is kept")
        return 130
    except BrokenPipeError:
        _discard_output()
        return 0


def _load_environment() -> None:
    """Set the variables of ``.env`` that are not set yet.

    Raises OSError, ValueError: the file cannot be read, or is no regular file.
    """
    from io import StringIO
    from pathlib import Path

    file = Path(".env")
    if not file.exists() or file.is_dir():
        return
    from dotenv import load_dotenv

    from tasks.common import files

    load_dotenv(stream=StringIO(files.read(file).decode("utf-8")))


def _run(arguments: list[str]) -> int:
    """Parse the arguments and run the verb; a user error is printed in one line."""
    from tasks.common.errors import HarnessError

    for stream in (sys.stdout, sys.stderr):
        if stream is not None and stream.encoding.lower() not in ("utf-8", "utf8"):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        _load_environment()
    except (OSError, ValueError) as error:
        _say(f"harness: .env: cannot be read: {error}")
        return 2
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    options = parser().parse_args(arguments)
    options.given = arguments
    if getattr(options, "trust_task", False):
        sys.path.append(os.getcwd())  # for a user's module:Class; last, so that it shadows no module
    try:
        from runners.compat.quiet import quiet

        with quiet():
            code = int(options.call(options))
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except HarnessError as error:
        _say(f"harness {options.verb}: {error}")
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno is None or not (error.filename or _of_stdout(error)):
            raise
        _say(f"harness {options.verb}: {error.strerror}: {error.filename or 'standard output'}")
    return 2


def _of_stdout(error: OSError) -> bool:
    """Whether stdout could not be written. Then the rest is discarded, so that the exit does not fail too."""
    import errno

    unwritable = error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF)
    if unwritable:
        _discard_output()
    return unwritable


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _say(line: str) -> None:
    from runners.training import distributed

    distributed.report_error(line)


if __name__ == "__main__":
    sys.exit(main())
