"""Parse and check arguments of the command line; an invalid argument ends the program with one line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NoReturn

from tasks.cluster import CLIENT, RAY
from tasks.common.errors import nearest
from tasks.common.terminal import one_line

if TYPE_CHECKING:
    from leaderboards.shards import Shard

ONLY = ("database", "difficulty", "family", "part")
"""Fields of a sample that ``--only`` can select by."""
SEEDS = 2**32
"""Seeds are below this: numpy takes no larger ones."""


class _Once(argparse.Action):
    """An option that may be given once: argparse would silently take the last of two."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: Any = None) -> None:
        seen = parser.given_once
        if option and self.dest in seen:
            parser.error(f"{option} is given twice: give it once")
        seen.add(self.dest)
        setattr(namespace, self.dest, values)


class Version(argparse.Action):
    """An option that prints the version, which is read only then, and ends the program."""

    def __init__(self, option_strings: list[str], dest: str, help: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: Any = None) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"harness {version('sql-harness')}")
        except PackageNotFoundError:
            print("harness (not installed: its version is not known)")
        parser.exit()


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors that name the nearest flag, verb or choice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.given_once: set[str] = set()
        for name in (None, "store"):
            self.register("action", name, _Once)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {one_line(message)} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        self.given_once.clear()
        own = takewhile(lambda word: word.startswith("-"), args or ()) if self._subparsers else args or ()
        self._refuse_unknown_flags(own)
        options, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unexpected argument: {rest[0]}")
        return options, rest

    def _refuse_unknown_flags(self, args: Iterable[str]) -> None:
        """Report a misspelt flag before argparse reports the required flag that it leaves missing."""
        flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
        for argument in args:
            name = argument.partition("=")[0]
            if argument == "--":
                return
            if argument.startswith("--") and not any(flag.startswith(name) for flag in flags):
                self.error(f"no flag {name}: {nearest(name, flags)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name = "verb" if isinstance(action, argparse._SubParsersAction) else "choice"
            raise argparse.ArgumentError(action, f"no {name} '{value}': {nearest(value, action.choices)}")


def _number(
    number_type: type[int] | type[float], fits: Callable[[Any], bool], expected: str
) -> Callable[[str], Any]:
    """An argparse type that reads a number and checks it; the error is "'x' is not ``expected``"."""

    def read(text: str) -> Any:
        try:
            value = number_type(text)
        except (ValueError, OverflowError):
            value = None
        if value is None or not fits(value):
            raise argparse.ArgumentTypeError(f"'{text}' is not {expected}")
        return value

    return read


positive = _number(int, lambda value: value > 0, "a positive number")
seed = _number(int, lambda value: 0 <= value < SEEDS, f"a whole number from 0 to {SEEDS - 1}")
whole = _number(int, lambda value: value >= 0, "a whole number from 0 on")
port = _number(int, lambda value: 0 <= value < 65536, "a port from 0 (any free one) to 65535")
above_zero = _number(float, lambda value: 0 < value < math.inf, "a number above 0")
share = _number(float, lambda value: 0 < value <= 1, "a number above 0 and at most 1")
_temperature = _number(float, lambda value: 0 <= value < math.inf, "a number from 0 on")


def temperatures(text: str) -> list[float]:
    """Read comma-separated numbers, each at least 0."""
    return [_temperature(part) for part in text.split(",")]


def shard(text: str) -> Shard:
    """Read ``i/n``: shard i of n, counted from 1."""
    from leaderboards.shards import Shard

    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"'{text}' is no shard: of four they are 1/4, 2/4, 3/4 and 4/4")
    return Shard(int(index), int(count))


def cluster(text: str) -> str:
    """Read ``ray`` or ``ray://host:port``."""
    if text != RAY and not text.startswith(CLIENT):
        near = nearest(text, [RAY]) if "://" not in text else f"did you mean '{CLIENT}host:port'?"
        raise argparse.ArgumentTypeError(f"'{text}' is no cluster: {near}")
    return text


def path(text: str) -> str:
    """Check the name of a file or folder to write: it must not be empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: name a file or folder")
    return text


def only(text: str) -> tuple[str, tuple[str, ...]]:
    """Read ``FIELD=A,B``; returns the field and its values."""
    field, equals, values = text.partition("=")
    if not equals or not values:
        raise argparse.ArgumentTypeError(f"'{text}': write database=A,B (or {', '.join(ONLY[1:])})")
    if field not in ONLY:
        raise argparse.ArgumentTypeError(f"no field '{field}': {nearest(field, ONLY)}")
    return field, tuple(values.split(","))
