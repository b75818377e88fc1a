"""What publishing reads from the settings of a run, which somebody else may have written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, NotRequired

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from leaderboards.types import Run
from tasks.common.errors import DataError
from tasks.common.terminal import one_line


class _Dataset(TypedDict):
    source: str
    path: str
    revision: str
    splits: Mapping[str, Any]


class _Databases(TypedDict):
    engine: str


class _Examples(TypedDict):
    count: int


class _Prompt(TypedDict):
    template: str
    examples: _Examples


class _Task(TypedDict):
    version: int
    description: NotRequired[str]
    dataset: _Dataset
    databases: _Databases
    prompt: _Prompt


class _Eval(TypedDict):
    model: NotRequired[str]
    runner: NotRequired[Mapping[str, Any]]
    sample_seed: NotRequired[int | None]


class _Spec(TypedDict):
    task: _Task
    eval: NotRequired[_Eval]


class _Identity(TypedDict):
    model: NotRequired[Mapping[str, str]]


class _Sampling(TypedDict):
    temperature: NotRequired[float | None]
    top_p: NotRequired[float | None]
    max_new_tokens: NotRequired[int | None]
    samples: NotRequired[int]
    turns: NotRequired[int]
    stop: NotRequired[list[str]]


class _Settings(TypedDict):
    spec: _Spec
    identity: _Identity
    sampling: _Sampling


def expect_publishable(run: Run) -> None:
    """Raise DataError where a setting of a run that is published is missing, or of another type."""
    settings = {name: getattr(run, name) for name in ("spec", "identity", "sampling")}
    try:
        _adapter().validate_python(settings, strict=True)
        for moment in (run.started, run.ended):
            datetime.fromisoformat(moment)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"run {run.id} cannot be published: its {where}: {first['msg']}") from None
    except ValueError as error:
        raise DataError(f"run {run.id} cannot be published: its time: {one_line(str(error))[:100]}") from None


@cache
def _adapter() -> TypeAdapter[_Settings]:
    return TypeAdapter(_Settings)
