"""lm-evaluation-harness both ways: any of its models as a runner, and our Hugging Face runner as one of its.

``python -m runners.lm_eval --model harness --model_args model=nano --apply_chat_template ...`` is lm-eval's
own command line, which then knows the model ``harness``.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import lm_eval.models  # noqa: F401 - registers the backends
from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model

from runners.decoding.ends import keep_ends
from runners.endpoints.failures import Answers, in_chunks, line
from runners.types import NEUTRAL, Completion, Request, Sampling
from runners.weights.loading import device
from tasks.common.errors import ModelError
from tasks.common.secrets import credentials, is_secret, redacted
from tasks.thoughts import opened

CHUNK = 256
"""Prompts handed to lm-eval at a time: it returns them all at once, or raises."""
LOCAL = ("hf", "hf-auto", "huggingface")
"""Backends that would look for a GPU where no device is named."""
_OFF: dict[str, Mapping[str, float]] = {**{name: {"top_k": 0} for name in LOCAL}, "vllm": NEUTRAL}
"""Backends that fill in sampling that is not named. Those that call an API send what is named only."""


def _without_keys(record: logging.LogRecord) -> bool:
    record.msg, record.args = redacted(record.getMessage()), ()
    return True


def open_lm_eval(rest: str) -> LmEvalRunner:
    """The runner of ``backend:key=value,...``. Raises ModelError: no such backend, or what it raises."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # else each backend introduces itself
    api_models = logging.getLogger("lm_eval.models.api_models")
    api_models.setLevel(logging.WARNING)
    api_models.addFilter(_without_keys)  # it logs whole replies
    backend, _, arguments = rest.partition(":")
    settings = [one.partition("=") for one in arguments.split(",")]
    if any(is_secret(name.strip(), value) or credentials(value) for name, _, value in settings):
        raise ModelError(f"lm-eval:{backend}: keys belong in the environment, not in its arguments")
    if backend in LOCAL and "device=" not in arguments:
        arguments = ",".join(filter(None, [arguments, f"device={device()}"]))
    try:
        lm = get_model(backend).create_from_arg_string(arguments)
        getattr(lm, "api_key", None)  # raises where the backend needs a key that is not set
    except Exception as error:  # backends raise whatever their libraries do, and the name is the user's
        raise ModelError(f"lm-eval:{backend}: {line(error)}") from error
    if backend in LOCAL:
        keep_ends(lm.model)
    return LmEvalRunner(lm, f"lm-eval:{rest}", _OFF.get(backend, {}))


class LmEvalRunner:
    """A loaded lm-eval model. A prompt that it would cut is unanswered; where it raises, a question fails."""

    def __init__(self, lm: Any, name: str, off: Mapping[str, float] | None = None) -> None:
        """``off``: what else of sampling the backend takes, and the values that turn it off."""
        self.lm, self.name, self.off = lm, name, dict(off or {})
        self.unsent = () if self.off else tuple(NEUTRAL)
        """Backends that call an API send none of them; local ones draw without them."""

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index, n completions)``, some hundred prompts at a time.

        Raises ModelError where it fails on every question.
        """
        if hasattr(self.lm, "_seed"):  # backends that call an API send it
            self.lm._seed = sampling.seed
        if torch := sys.modules.get("torch"):
            torch.manual_seed(sampling.seed)
        ask = partial(self._ask, sampling=sampling)
        yield from in_chunks(self.name, ask, requests, sampling.n, max(1, CHUNK // sampling.n))

    def _ask(self, requests: Sequence[Request], sampling: Sampling) -> list[Answers]:
        """The answers to each request. Raises whatever lm-eval raises."""
        contexts = [self.lm.apply_chat_template(list(request.messages)) for request in requests]
        found: list[Answers] = [self._over(context, sampling) for context in contexts]
        places = [i for i, answers in enumerate(found) if not answers]
        asked = [
            Instance("generate_until", {}, (contexts[i], _arguments(sampling) | self.off), 0)
            for i in places
            for _ in range(sampling.n)
        ]
        if not asked:
            return found
        began = time.perf_counter()
        texts = self.lm.generate_until(asked, disable_tqdm=True)
        if len(texts) != len(asked):
            raise ModelError(f"{len(texts)} answers to {len(asked)} requests")
        seconds = (time.perf_counter() - began) / len(texts)
        for number, i in enumerate(places):
            own = texts[number * sampling.n :][: sampling.n]
            found[i] = [self._completion(contexts[i], text, seconds, sampling) for text in own]
        return found

    def _over(self, context: Any, sampling: Sampling) -> Answers:
        """The answers to a prompt that lm-eval would cut at its beginning; none where it fits."""
        length = self._length(context)
        if not length or length + sampling.max_new_tokens <= self.lm.max_length:
            return []
        why = f"{length} prompt tokens and {sampling.max_new_tokens} new ones exceed {self.lm.max_length}"
        return [Completion("", length, finish="unanswered", error=why)] * sampling.n

    def _length(self, text: Any) -> int:
        """Tokens of a text; 0 where the backend has no tokenizer of its own."""
        local = getattr(self.lm, "tokenizer", None) is not None and isinstance(text, str)
        return len(self.lm.tok_encode(text)) if local else 0

    def _completion(self, context: Any, text: str, seconds: float, sampling: Sampling) -> Completion:
        tokens = self._length(text)
        return Completion(
            text=(opened(context) if isinstance(context, str) else "") + text,
            prompt_tokens=self._length(context),
            tokens=tokens,
            seconds=seconds,
            finish="length" if tokens >= sampling.max_new_tokens else "stop",
        )

    def close(self) -> None:
        """Nothing to release."""


def _arguments(sampling: Sampling) -> dict[str, Any]:
    """Sampling in lm-eval's words; a new dict each time, for backends change it."""
    arguments: dict[str, Any] = {
        "until": list(sampling.stop),
        "max_gen_toks": sampling.max_new_tokens,
        "do_sample": sampling.temperature > 0,
        "temperature": sampling.temperature,
    }
    return arguments | ({"top_p": sampling.top_p} if sampling.top_p < 1 else {})
