"""Jinja for templates that come with a task: they read variables, run no Python, and are bounded.

A prompt's template may take MAX_SECONDS of CPU time; its values and its text are bounded.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_CHARACTERS = 16 * 2**20
"""The most characters of one prompt, and of one value in it."""
MAX_SECONDS = 5.0
"""The most CPU time for one prompt."""
WIDENING = {
    "batch",
    "center",
    "format",
    "format_map",
    "indent",
    "ljust",
    "rjust",
    "slice",
    "wordwrap",
    "zfill",
}
"""Filters, and methods of texts, whose result is as large as a number that they take."""
TIMED, JOINED, BOUNDED = "(timed)", "(joined)", "(bounded)"
"""Our own filters, under names that no template can write."""


class Environment(ImmutableSandboxedEnvironment):
    """The sandbox of a template. Call ``start`` before each prompt."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._clock = threading.local()
        self.globals.pop("lipsum")
        self.filters = {name: filter for name, filter in self.filters.items() if name not in WIDENING}
        self.filters |= {TIMED: self._timed, JOINED: _joined_texts, BOUNDED: _bounded}

    def start(self) -> None:
        """Start the clock of a prompt."""
        self._clock.began = time.thread_time()

    def _check_time(self) -> None:
        if time.thread_time() - getattr(self._clock, "began", math.inf) > MAX_SECONDS:
            raise SecurityError(f"it takes more than {MAX_SECONDS:g} seconds")

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sizes = [text_size(side) if hasattr(side, "__len__") else abs(side) for side in (left, right)]
        size = sum(sizes) if operator == "+" else sizes[0] * sizes[1]
        refused = operator == "**" or (operator == "%" and isinstance(left, str))
        if refused or (size > MAX_CHARACTERS and operator != "%"):
            raise SecurityError(f"the result of '{operator}' may be too large")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        self._check_time()
        if getattr(function, "__name__", "") in WIDENING:
            raise SecurityError(f"the result of '{function.__name__}' may be too large")
        return _bounded(super().call(context, function, *args, **kwargs))

    def _timed(self, values: Iterable[Any]) -> Iterator[Any]:
        """The values of a loop; the time is checked before each of them."""
        for value in values:
            self._check_time()
            yield value

    def _generate(self, source: jinja2.nodes.Template, *args: Any, **kwargs: Any) -> str:
        """The template as Python code, with timed loops and bounded ``~``, lists and mappings."""
        for loop in source.find_all(jinja2.nodes.For):
            loop.iter = _filtered(loop.iter, TIMED)
        for node in [source, *source.find_all(jinja2.nodes.Node)]:
            for name, value in node.iter_fields():
                if isinstance(value, list):
                    value[:] = [_bounded_node(item) for item in value]
                else:
                    setattr(node, name, _bounded_node(value))
        return super()._generate(source, *args, **kwargs)


def _bounded_node(node: Any) -> Any:
    """``a ~ b``, ``[a, b]`` or ``{a: b}`` with a filter that checks its size; any other node unchanged."""
    if isinstance(node, jinja2.nodes.Concat):
        return _filtered(jinja2.nodes.List(node.nodes, lineno=node.lineno), JOINED)
    return _filtered(node, BOUNDED) if isinstance(node, jinja2.nodes.List | jinja2.nodes.Dict) else node


def _filtered(node: Any, name: str) -> jinja2.nodes.Filter:
    return jinja2.nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _bounded(value: Any) -> Any:
    """The value. Raises SecurityError: its text has over MAX_CHARACTERS."""
    if isinstance(value, str | list | tuple | dict) and text_size(value) > MAX_CHARACTERS:
        raise SecurityError(f"a value has more than {MAX_CHARACTERS:,} characters")
    return value


def text_size(value: Any) -> int:
    """About the characters of a value as text. A nested list counts all that it holds, each time."""
    sizes: dict[int, int] = {}

    def size(part: Any) -> int:
        if isinstance(part, str | bytes):
            return len(part)
        if id(part) not in sizes:
            if isinstance(part, Mapping):
                parts: Iterable[Any] = chain(part.keys(), part.values())
            elif isinstance(part, list | tuple | set | frozenset):
                parts = part
            else:
                parts = (str(part),)
            sizes[id(part)] = MAX_CHARACTERS  # of a list within itself
            sizes[id(part)] = 1 + sum(1 + size(item) for item in parts)
        return sizes[id(part)]

    return size(value)


def _joined_texts(values: Sequence[Any]) -> str:
    """The values as one text. Raises SecurityError over MAX_CHARACTERS."""
    return joined(map(str, values))


def joined(pieces: Iterable[str], limit: int = MAX_CHARACTERS) -> str:
    """The pieces that a template writes, as one text. Raises SecurityError over ``limit`` characters."""
    texts, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > limit:
            raise SecurityError(f"it writes more than {limit:,} characters")
        texts.append(piece)
    return "".join(texts)
