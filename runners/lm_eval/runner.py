"""Answers from any model of lm-evaluation-harness."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from lm_eval.api.instance import Instance

from runners.batching import Answers, error_line, in_chunks
from runners.chat_templates import plain_text
from runners.compat.lm_eval import (
    count_tokens,
    limited_logs,
    load_backend,
    max_length,
    set_seed,
    transformers_model,
)
from runners.types import NEUTRAL, Completion, Request, Sampling
from runners.weights.loading import device
from tasks.common.errors import ModelError
from tasks.common.secrets import credentials, is_secret
from tasks.thoughts import opening_tag

CHUNK = 256
"""Prompts passed to lm-eval at a time: it returns all answers at once, or raises."""
LOCAL = ("hf", "hf-auto", "huggingface")
"""Backends that need the argument ``device``: by default they look for a GPU."""
_NEUTRAL: dict[str, Mapping[str, float]] = {**{name: {"top_k": 0} for name in LOCAL}, "vllm": NEUTRAL}
"""Parameters that turn off the backend's own sampling. Backends that call an API send only what is named."""


def open_lm_eval(rest: str, completion: bool = False) -> LmEvalRunner:
    """The runner of ``backend:key=value,...``. Raises ModelError: unknown backend, or it cannot be loaded."""
    backend, _, arguments = rest.partition(":")
    settings = [argument.partition("=") for argument in arguments.split(",")]
    if any(is_secret(name.strip(), value) or credentials(value) for name, _, value in settings):
        raise ModelError(f"lm-eval:{backend}: set keys in the environment, not in its arguments")
    if backend in LOCAL and "device=" not in arguments:
        arguments = ",".join(filter(None, [arguments, f"device={device()}"]))
    try:
        with limited_logs():
            lm = load_backend(backend, arguments)
    except Exception as error:  # of any library: the name is the user's
        raise ModelError(f"lm-eval:{backend}: {error_line(error)}") from error
    if backend in LOCAL:
        from runners.compat.transformers import keep_end_tokens

        keep_end_tokens(transformers_model(lm))
    return LmEvalRunner(lm, f"lm-eval:{rest}", _NEUTRAL.get(backend, {}), completion)


class LmEvalRunner:
    """A loaded lm-eval model. Prompts that it would cut are unanswered; if it raises, the question fails."""

    def __init__(
        self, lm: Any, name: str, neutral: Mapping[str, float] | None = None, completion: bool = False
    ) -> None:
        """``neutral``: further sampling parameters of the backend, with the values that turn them off.

        ``completion``: the model continues the messages' text, without a chat template.
        """
        self.lm, self.name, self.neutral, self.completion = lm, name, dict(neutral or {}), completion
        self.unsent = () if self.neutral else tuple(NEUTRAL)
        """Backends that call an API send none of these parameters."""

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index, n completions)``, some hundred prompts at a time.

        Raises ModelError where it fails on every question.
        """
        set_seed(self.lm, sampling.seed)
        if torch := sys.modules.get("torch"):
            torch.manual_seed(sampling.seed)
        ask = partial(self._ask, sampling=sampling)
        yield from in_chunks(self.name, ask, requests, sampling.n, max(1, CHUNK // sampling.n))

    def _ask(self, requests: Sequence[Request], sampling: Sampling) -> list[Answers]:
        """The answers to each request. Raises the errors of lm-eval."""
        with limited_logs():
            prompts = [self._rendered(request) for request in requests]
            answers: list[Answers] = [self._too_long(prompt, sampling) for prompt in prompts]
            asked = [i for i, refused in enumerate(answers) if not refused]
            if not asked:
                return answers
            instances = [
                Instance("generate_until", {}, (prompts[i], _arguments(sampling) | self.neutral), 0)
                for i in asked
                for _ in range(sampling.n)
            ]
            began = time.perf_counter()
            texts = self.lm.generate_until(instances, disable_tqdm=True)
        if len(texts) != len(instances):
            raise ModelError(f"{len(texts)} answers to {len(instances)} requests")
        seconds = (time.perf_counter() - began) / len(texts)
        for number, i in enumerate(asked):
            own = texts[number * sampling.n :][: sampling.n]
            answers[i] = [self._completion(prompts[i], text, seconds, sampling) for text in own]
        return answers

    def _rendered(self, request: Request) -> Any:
        if self.completion:
            return plain_text(request.messages)
        return self.lm.apply_chat_template(list(request.messages))

    def _too_long(self, prompt: Any, sampling: Sampling) -> Answers:
        """Unanswered completions for a prompt that lm-eval would cut at its beginning; [] if it fits."""
        length = count_tokens(self.lm, prompt)
        if not length or length + sampling.max_new_tokens <= max_length(self.lm):
            return []
        reason = f"{length} prompt tokens and {sampling.max_new_tokens} new ones exceed {max_length(self.lm)}"
        return [Completion("", length, finish="unanswered", error=reason)] * sampling.n

    def _completion(self, prompt: Any, text: str, seconds: float, sampling: Sampling) -> Completion:
        tokens = count_tokens(self.lm, text)
        return Completion(
            text=(opening_tag(prompt) if isinstance(prompt, str) else "") + text,
            prompt_tokens=count_tokens(self.lm, prompt),
            tokens=tokens,
            seconds=seconds,
            finish="length" if tokens >= sampling.max_new_tokens else "stop",
        )

    def close(self) -> None:
        """Nothing to release."""


def _arguments(sampling: Sampling) -> dict[str, Any]:
    """Sampling under lm-eval's names; a new dict each time, because backends change it."""
    arguments: dict[str, Any] = {
        "until": list(sampling.stop),
        "max_gen_toks": sampling.max_new_tokens,
        "do_sample": sampling.temperature > 0,
        "temperature": sampling.temperature,
    }
    return arguments | ({"top_p": sampling.top_p} if sampling.top_p < 1 else {})
