"""Open a runner by its name: a baseline, ``PREFIX:NAME`` such as ``openai:gpt``, or a model."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from runners.endpoints.config import EndpointConfig
from runners.replay import EmptyRunner, GoldRunner
from runners.settings import RunnerConfig
from runners.types import Runner
from tasks.common.errors import MissingExtra, ModelError, nearest


def _replay(rest: str, config: RunnerConfig) -> Runner:
    from runners.replay import ReplayRunner

    return ReplayRunner(Path(rest), config.replay.column)


def _openai(model: str, config: RunnerConfig) -> Runner:
    from runners.endpoints.openai import OpenAIRunner

    return OpenAIRunner(model, _endpoint(config), config.is_completion)


def _endpoint(config: RunnerConfig) -> EndpointConfig:
    """The settings of an endpoint, which renders the messages itself. Raises ModelError."""
    if config.chat_template and not config.is_completion:
        raise ModelError("runner.chat_template: start the server with it (vllm serve --chat-template FILE)")
    if not config.chat_template_kwargs:
        return config.endpoint
    body = {"chat_template_kwargs": dict(config.chat_template_kwargs), **config.endpoint.body}
    return config.endpoint.model_copy(update={"body": body})


def _lm_eval(rest: str, config: RunnerConfig) -> Runner:
    if find_spec("lm_eval") is None:
        raise MissingExtra("lm-eval", "eval")
    from runners.lm_eval.runner import open_lm_eval

    if config.chat_template_kwargs or (config.chat_template and not config.is_completion):
        raise ModelError(
            "runner.chat_template and runner.chat_template_kwargs: lm-eval renders the messages: use its own"
            " arguments, such as enable_thinking=False after the model's name"
        )
    return open_lm_eval(rest, config.is_completion)


def _anthropic(model: str, config: RunnerConfig) -> Runner:
    return _lm_eval(f"anthropic-chat:model={model}", config)


def _vllm(name: str, config: RunnerConfig) -> Runner:
    if find_spec("vllm") is None:
        raise MissingExtra("vllm", "vllm")
    from runners.weights.source import resolve

    source = resolve(name).with_template(config)
    if config.vllm.server or config.vllm.data_parallel > 1:
        from runners.endpoints.vllm_server import VllmServer

        return VllmServer(source, name, config.vllm, config.endpoint)
    from runners.vllm import VllmRunner

    return VllmRunner(source, name, config.vllm)


def _hf(name: str, config: RunnerConfig) -> Runner:
    if find_spec("torch") is None:
        raise MissingExtra("torch", "train")
    from runners.hf import HfRunner
    from runners.weights.loading import load

    exact = config.hf.deterministic and config.hf.dtype == "auto"
    model, tokenizer = load(name, "float32" if exact else config.hf.dtype, config.hf.four_bit, config)
    return HfRunner(model, tokenizer, name, config.hf.batch_tokens, config.hf.deterministic)


PREFIXES: dict[str, Callable[[str, RunnerConfig], Runner]] = {
    "replay": _replay,
    "hf": _hf,
    "openai": _openai,
    "lm-eval": _lm_eval,
    "anthropic": _anthropic,
    "vllm": _vllm,
}
"""Prefix -> a function that opens the runner from the rest of the name."""

BASELINES: dict[str, Callable[[], Runner]] = {"gold": GoldRunner, "empty": EmptyRunner}


def open_runner(name: str, config: RunnerConfig | None = None) -> Runner:
    """Open the runner of a name. Raises ModelError: no such runner or model; MissingExtra."""
    config = config or RunnerConfig()
    if name in BASELINES:
        return BASELINES[name]()
    prefix, colon, rest = name.partition(":")
    if not colon or Path(name).exists():
        return _hf(name, config)
    if prefix not in PREFIXES:
        raise ModelError(f"no runner '{prefix}:' ({nearest(prefix, PREFIXES)})")
    return PREFIXES[prefix](rest, config)
