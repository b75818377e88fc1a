"""Which code a task spec may run: a file from elsewhere must not choose what is executed here.

A spec names code as ``module:name`` (``dataset.path`` of ``source: python``, ``scoring.reward``). It runs if
the caller trusts the spec (``--trust-task``, ``load(..., trust=True)``), if it is the package's own, or if an
installed package offers it as an entry point of the group ``harness.tasks``::

    [project.entry-points."harness.tasks"]
    mine = "my_package.rewards:Mine"     # this object; "my_package.rewards" allows every name of the module
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from tasks.common.errors import SpecError

GROUP = "harness.tasks"
OWN = frozenset({"tasks.pocket:rows"})
"""What the shipped tasks run."""


def refuse_code(named: Mapping[str, str], where: str) -> None:
    """Refuse code that nobody has allowed. ``named``: key of the spec -> the ``module:name`` it would run.

    Raises SpecError: one line that says what would have run, and how to allow it.
    """
    for key, reference in named.items():
        if reference in OWN or _offered(reference):
            continue
        raise SpecError(
            f"{where}: {key} would run the code {reference!r}, and a task's code runs only if it is trusted:"
            " add --trust-task (verifiers: trust = true), or list it in an installed package's"
            f" '{GROUP}' entry points"
        )


def _offered(reference: str) -> bool:
    """Whether an installed package offers this code to task specs."""
    offered = {entry.value.replace(" ", "") for entry in entry_points(group=GROUP)}
    return reference in offered or reference.partition(":")[0] in offered
