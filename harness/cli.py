"""The command line. Each verb is a function of ``harness.commands``, imported when it is called."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from dotenv import load_dotenv

from harness.verbs import Parser, add_all
from runners import processes
from tasks.errors import HarnessError

EPILOG = """\
first steps:
  harness demo                                   base -> SFT -> GRPO -> leaderboard, offline
  harness check spider                           prove a task before you trust it
  harness eval --model nano --task pocket        how often does it return the right rows?
  harness eval --model replay:FILE --task spider judge stored answers
  harness board                                  what has been measured so far
"""


def parser() -> argparse.ArgumentParser:
    """The parser of all verbs; ``tests/test_docs.py`` reads the README's commands with it."""
    top = Parser(
        prog="harness",
        description="Measure and train language models that write SQL.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    add_all(verbs)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. Exit codes: 0 done, 1 something failed, 2 the user erred, 130 Ctrl-C."""
    load_dotenv(".env")
    sys.path.append(os.getcwd())  # where a user's own module:Class is; last, so that it hides nothing
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    options = parser().parse_args(arguments)
    options.given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        from harness import commands

        return commands.VERBS[options.verb](options)
    except HarnessError as error:
        processes.say(f"harness {options.verb}: {error}")
        return 2
    except KeyboardInterrupt:
        processes.say(f"harness {options.verb}: stopped; what was finished is kept")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno is None or not error.filename:
            raise
        print(f"harness {options.verb}: {error.strerror}: {error.filename}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
