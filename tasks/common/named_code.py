"""Code that is named as ``module:name``: importing it, and which code a task file may name.

A task file from elsewhere must not choose what runs on this machine. It names code in ``dataset.path`` (of
``source: python``) and in ``scoring.reward``. That code runs if the caller trusts the file (``--trust-task``,
``load(..., trust=True)``), if it belongs to this package, or if an installed package offers it as an entry
point of the group ``harness.tasks``::

    [project.entry-points."harness.tasks"]
    mine = "my_package.rewards:Mine"     # this object; "my_package.rewards" allows every name of the module
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from tasks.common.errors import SpecError

GROUP = "harness.tasks"
OWN = frozenset({"tasks.pocket:rows"})
"""The code that the shipped tasks name."""


def load_object(reference: str) -> Any:
    """Import what ``module:name`` names. Raises ImportError, AttributeError, ValueError: there is none."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


def refuse_untrusted(named: Mapping[str, str], where: str) -> None:
    """Raise SpecError for code that neither this package nor an installed one offers to task files.

    ``named``: key of the spec -> the ``module:name`` that it would run. ``where`` begins the message.
    """
    for key, reference in named.items():
        if reference in OWN or _is_offered(reference):
            continue
        raise SpecError(
            f"{where}: {key} would run the code {reference!r}, and a task's code runs only if it is trusted:"
            " add --trust-task (verifiers: trust = true), or list it in an installed package's"
            f" '{GROUP}' entry points"
        )


def _is_offered(reference: str) -> bool:
    """Whether an installed package offers this code to task files."""
    from importlib.metadata import entry_points  # slow to import, and workers do not need it

    offered = {entry.value.replace(" ", "") for entry in entry_points(group=GROUP)}
    return reference in offered or reference.partition(":")[0] in offered
