"""Errors that a user can fix. The command line prints each as one line and exits with 2.

``HarnessError``
  ``SpecError``     a task, evaluation or training spec that cannot be read
    ``UnsetVariable``  a path in it names an environment variable that is not set
  ``DataError``     a dataset or database that is missing, empty or broken
    ``MissingData``    a dataset or database that is not there
  ``ModelError``    a model that cannot be found, loaded or asked
  ``ClusterError``  a cluster that cannot be reached, or on which no node can work
  ``MissingExtra``  an optional dependency that is not installed
Any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class HarnessError(Exception):
    """Base of all errors that the user can fix; ``str()`` of it is one line."""


class SpecError(HarnessError):
    """A spec has an unknown key, a wrong value or broken YAML."""


class UnsetVariable(SpecError):
    """A path of a spec names an environment variable that is not set."""


class DataError(HarnessError):
    """A dataset or database is missing, empty or broken."""


class MissingData(DataError):
    """A dataset or database is not there, or not to be fetched."""


class ModelError(HarnessError):
    """A model cannot be found, loaded or asked."""


class ClusterError(HarnessError):
    """A cluster cannot be reached, or none of its nodes can work."""


class MissingExtra(HarnessError):
    """An optional dependency is needed and not installed."""

    def __init__(self, package: str, extra: str) -> None:
        from tasks.common.extras import remedy  # needed only here

        super().__init__(f"{package} is not installed: {remedy(extra)}")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, with the next one where it ends with a colon.

    >>> first_line(ValueError("it failed:\\n  for a reason\\n  of its own"))
    'it failed: for a reason'
    """
    lines = [line.strip() for line in str(error).strip().splitlines()]
    if not lines:
        return type(error).__name__
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known name, or all known names where none is near.

    >>> nearest("spidr", ["spider", "bird"])
    "did you mean 'spider'?"
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else "there are none"
