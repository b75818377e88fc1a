"""Cache the results of functions of large immutable objects, whose hash would take longer than a look-up."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")
Rest = ParamSpec("Rest")
Function = Callable[Concatenate[Thing, Rest], Result]


def cached_by_identity(
    size: int,
) -> Callable[[Function[Thing, Rest, Result]], Function[Thing, Rest, Result]]:
    """Keep the last ``size`` results of a function. Its first argument is known by its identity.

    The other arguments are positional and hashable.
    """

    def decorate(function: Function[Thing, Rest, Result]) -> Function[Thing, Rest, Result]:
        known: dict[Hashable, tuple[Thing, Result]] = {}
        """With the argument, so that no other object gets its identity."""

        @wraps(function)
        def call(thing: Thing, /, *rest: Rest.args, **named: Rest.kwargs) -> Result:
            key = (id(thing), rest)
            found = known.get(key)
            if found is None:
                found = known[key] = thing, function(thing, *rest, **named)
                for oldest in list(known)[:-size]:
                    known.pop(oldest, None)
            return found[1]

        return call

    return decorate
