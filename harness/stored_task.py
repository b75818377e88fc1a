"""The task of a stored run, by the spec that the run holds."""

from __future__ import annotations

import re

from leaderboards.types import Run
from tasks.common.errors import SpecError
from tasks.common.named_code import refuse_untrusted
from tasks.common.parse import parse
from tasks.common.terminal import one_line
from tasks.databases.servers.address import EMBEDDED
from tasks.databases_spec import COPIES
from tasks.spec import TaskSpec

OWN_VARIABLES = ("HARNESS_HOME", "HARNESS_DATA")
"""The variables that any task may name: they hold folders."""
VARIABLE = re.compile(r"\$\{(\w+)\}")


def stored_task(run: Run, trust: bool, with_reward: bool = True) -> TaskSpec:
    """The spec of a run's task. ``with_reward``: its custom reward will run too, if it has one.

    Raises SpecError: the run holds none, this version cannot read it, or it names code that is not trusted.
    """
    stored = run.spec.get("task")
    if not isinstance(stored, dict):
        raise SpecError(f"run {run.id} did not store its task: evaluate again")
    spec = parse(TaskSpec, stored, where=f"task of run {run.id}")
    code = spec.code()
    if not with_reward:
        code.pop("scoring.reward", None)
    if not trust:
        refuse_untrusted(code, f"task of run {run.id}")
        _refuse_servers(spec, run)
    return spec


def _refuse_servers(spec: TaskSpec, run: Run) -> None:
    """Raise SpecError where the task would send variables of the environment, such as keys, to a server.

    A connection alone sends some: psycopg adds the password that PGPASSWORD or a file of passwords holds.
    """
    path = spec.dataset.path
    servers = {"databases.url": spec.databases.url, "databases.copy_to": spec.databases.copy_to}
    remote = {
        key: url
        for key, url in servers.items()
        if url and url not in COPIES and not url.startswith(f"{EMBEDDED}://")
    }
    if remote:
        key, value = next(iter(remote.items()))
    elif spec.dataset.source == "huggingface" and set(VARIABLE.findall(path)) - set(OWN_VARIABLES):
        key, value = "dataset.path", path
    else:
        return
    raise SpecError(
        f"task of run {run.id}: {key} would send your login or variables to {one_line(value)[:200]}:"
        " if you trust the run, add --trust-task"
    )
