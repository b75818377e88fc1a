"""A runner by name: ``gold``, ``empty``, ``replay:FILE``, or a model (``models.resolve``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runners.baselines import EmptyRunner, GoldRunner
from runners.types import Runner
from tasks.errors import ModelError, nearest


def _replay(rest: str) -> Runner:
    from runners.replay import ReplayRunner

    return ReplayRunner(Path(rest))


def _hf(name: str) -> Runner:
    from runners.hf import HfRunner
    from runners.models import load

    return HfRunner(*load(name), name=name)


PREFIXES: dict[str, Callable[[str], Runner]] = {"replay": _replay, "hf": _hf}
"""What stands before a colon -> the runner of what stands after it."""

BASELINES: dict[str, Callable[[], Runner]] = {"gold": GoldRunner, "empty": EmptyRunner}


def open_runner(name: str) -> Runner:
    """The runner that a name stands for. Raises ModelError: no such runner or model."""
    if name in BASELINES:
        return BASELINES[name]()
    prefix, colon, rest = name.partition(":")
    if not colon or Path(name).exists():
        return _hf(name)
    if prefix not in PREFIXES:
        raise ModelError(f"no runner '{prefix}:' ({nearest(prefix, PREFIXES)})")
    return PREFIXES[prefix](rest)
