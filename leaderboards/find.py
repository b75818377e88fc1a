"""Find a run by its id, by the beginning of its id, by its model, or by a tag."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

from leaderboards import store, tags
from leaderboards.identity import identity_of
from leaderboards.types import Run
from tasks.common.errors import DataError, nearest


def evaluations() -> list[Run]:
    """The finished evaluations, newest first."""
    return [run for run in reversed(store.runs()) if run.kind == "eval" and run.finished]


def expect_task(name: str) -> None:
    """Raise DataError: no run and no shipped task has this name; the text has the nearest one."""
    from tasks.spec import shipped

    names = {run.task for run in store.runs()} | set(shipped())
    if name not in names:
        raise DataError(f"no evaluation of a task '{name}': {nearest(name, names)}")


def find(name: str) -> Run:
    """The newest finished evaluation with this name. Raises DataError where there is none."""
    return candidates(name)[0]


def candidates(name: str, among: Sequence[Run] | None = None) -> list[Run]:
    """The finished evaluations that a name refers to, newest first; ``among``: as for ``named``.

    A model's name means its newest weights: an older evaluation of others, which were in the same folder, is
    left out. Raises DataError: as ``named``.
    """
    found = named(name, evaluations() if among is None else among, "finished evaluation")
    newest = identity_of(found[0])
    if newest is None or any(run.model != found[0].model for run in found):
        return found
    return [run for run in found if (other := identity_of(run)) is None or other.model == newest.model]


def named(name: str, searched: Sequence[Run], kind: str) -> list[Run]:
    """The runs among some, which messages call ``kind``, that a name refers to, in their order.

    A name is the id of a run, a model's name, a tag, a model's folder, a folder with the same content as the
    model, or the beginning of an id.

    Raises DataError: it refers to none, or is the beginning of several ids.
    """
    if not name.strip():
        raise DataError("the name of a run is empty: name one (harness runs lists them)")
    for matches in (_is_id, _is_model, _is_tag, _is_folder, _is_content):
        if matching := [run for run in searched if matches(run, name)]:
            return matching
    matching = [run for run in searched if run.id.startswith(name)]
    if len(matching) == 1:
        return matching
    if matching:
        raise DataError(
            f"'{name}' is the start of {len(matching)} runs: {', '.join(run.id for run in matching[:4])}"
        )
    names = {word for run in searched for word in (run.id, run.label, *tags.read(run.id))}
    known_names = shorten(nearest(name, names), 200, placeholder=" ...")
    raise DataError(f"no {kind} '{name}': {known_names}")


def _is_id(run: Run, name: str) -> bool:
    return run.id == name


def _is_model(run: Run, name: str) -> bool:
    return run.model == name


def _is_tag(run: Run, name: str) -> bool:
    return name in tags.read(run.id)


def is_model(run: Run, name: str) -> bool:
    """Whether a name is the run's model: its name, its label or its folder."""
    return _is_model(run, name) or _is_folder(run, name)


def _is_folder(run: Run, name: str) -> bool:
    return name.rstrip("/") == run.label or _real_path(name) == _real_path(run.model)


def _real_path(name: str) -> str:
    """The real path of a name; the name itself where it cannot be a path."""
    try:
        return os.path.realpath(name)
    except (OSError, ValueError):
        return name


def _is_content(run: Run, name: str) -> bool:
    """Whether the name is a folder or file with the content of the run's model."""
    identity = identity_of(run)
    rest = name.partition(":")[2] if not Path(name).exists() else name
    if identity is None or not any(Path(text).exists() for text in (name, rest, name.rpartition("+")[2])):
        return False
    from runners.weights.identity import content

    return content(name) == dict(identity.model)
