"""A runner by name: ``gold``, ``empty``, ``replay:FILE``, ``openai:MODEL``, or one of ``models.resolve``."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from runners.baselines import EmptyRunner, GoldRunner
from runners.settings import RunnerConfig
from runners.types import Runner
from tasks.errors import MissingExtra, ModelError, nearest


def _replay(rest: str, config: RunnerConfig) -> Runner:
    from runners.replay import ReplayRunner

    return ReplayRunner(Path(rest))


def _openai(model: str, config: RunnerConfig) -> Runner:
    from runners.openai import OpenAIRunner

    return OpenAIRunner(model, config.endpoint)


def _hf(name: str, config: RunnerConfig) -> Runner:
    if find_spec("torch") is None:
        raise MissingExtra("torch", "train")
    from runners.hf import HfRunner
    from runners.models import load

    return HfRunner(*load(name), name=name)


PREFIXES: dict[str, Callable[[str, RunnerConfig], Runner]] = {
    "replay": _replay,
    "hf": _hf,
    "openai": _openai,
}
"""What stands before a colon -> the runner of what stands after it."""

BASELINES: dict[str, Callable[[], Runner]] = {"gold": GoldRunner, "empty": EmptyRunner}


def open_runner(name: str, config: RunnerConfig | None = None) -> Runner:
    """The runner that a name stands for. Raises ModelError: no such runner or model; MissingExtra."""
    config = config or RunnerConfig()
    if name in BASELINES:
        return BASELINES[name]()
    prefix, colon, rest = name.partition(":")
    if not colon or Path(name).exists():
        return _hf(name, config)
    if prefix not in PREFIXES:
        raise ModelError(f"no runner '{prefix}:' ({nearest(prefix, PREFIXES)})")
    return PREFIXES[prefix](rest, config)
