"""Jinja for templates that come with a task: they read variables, call nothing of Python, stay small."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST = 16 * 2**20
"""Characters of one prompt, and of one value in it: more is a template that runs away."""
MAX_SECONDS = 5.0
"""CPU time of one prompt's template."""
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
"""Filters and methods of texts whose result is as large as a number that they are given."""
COUNTED, JOINED = "(counted)", "(joined)"
"""Filters that no template can name."""


class Environment(ImmutableSandboxedEnvironment):
    """The sandbox of a template. ``start`` is called before each prompt."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._clock = threading.local()
        self.globals.pop("lipsum")
        self.filters = {name: filter for name, filter in self.filters.items() if name not in WIDENING}
        self.filters |= {COUNTED: self._counted, JOINED: _text}

    def start(self) -> None:
        """A prompt begins: its time is counted from here."""
        self._clock.began = time.thread_time()

    def _check_time(self) -> None:
        if time.thread_time() - getattr(self._clock, "began", math.inf) > MAX_SECONDS:
            raise SecurityError(f"it takes more than {MAX_SECONDS:g} seconds")

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sized = [len(side) if hasattr(side, "__len__") else abs(side) for side in (left, right)]
        size = sum(sized) if operator == "+" else sized[0] * sized[1]
        refused = operator == "**" or (operator == "%" and isinstance(left, str))
        if refused or (size > MOST and operator != "%"):
            raise SecurityError(f"the result of '{operator}' may be too large")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        self._check_time()
        if getattr(function, "__name__", "") in WIDENING:
            raise SecurityError(f"the result of '{function.__name__}' may be too large")
        return super().call(context, function, *args, **kwargs)

    def _counted(self, values: Iterable[Any]) -> Iterator[Any]:
        """What a loop goes over; the time is looked at before each turn."""
        for value in values:
            self._check_time()
            yield value

    def _generate(self, source: jinja2.nodes.Template, *args: Any, **kwargs: Any) -> str:
        """The template as Python, with its loops watched and what ``~`` makes bounded."""
        for loop in source.find_all(jinja2.nodes.For):
            loop.iter = _filtered(loop.iter, COUNTED)
        for node in [source, *source.find_all(jinja2.nodes.Node)]:
            for name, value in node.iter_fields():
                if isinstance(value, list):
                    value[:] = [_bounded(one) for one in value]
                else:
                    setattr(node, name, _bounded(value))
        return super()._generate(source, *args, **kwargs)


def _bounded(node: Any) -> Any:
    """``a ~ b`` as a filter that looks at the sizes; anything else as it is."""
    if not isinstance(node, jinja2.nodes.Concat):
        return node
    return _filtered(jinja2.nodes.List(node.nodes, lineno=node.lineno), JOINED)


def _filtered(node: Any, name: str) -> jinja2.nodes.Filter:
    return jinja2.nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _text(values: Sequence[Any]) -> str:
    """The values as one text. Raises SecurityError over MOST characters."""
    return joined(map(str, values))


def joined(pieces: Iterable[str], most: int = MOST) -> str:
    """What a template wrote. Raises SecurityError over ``most`` characters."""
    found, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > most:
            raise SecurityError(f"it writes more than {most:,} characters")
        found.append(piece)
    return "".join(found)
