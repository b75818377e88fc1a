"""lm-evaluation-harness both ways: any of its models as a runner, and our Hugging Face runner as one of its.

``python -m runners.lm_eval --model harness --model_args model=nano --apply_chat_template ...`` is lm-eval's
own command line, which then knows the model ``harness``.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import lm_eval.models  # noqa: F401 - registers the backends
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import get_model, register_model

from runners.decoding.ends import keep_ends
from runners.endpoints.failures import Answers, in_chunks, line
from runners.models import device
from runners.types import NEUTRAL, Completion, Request, Runner, Sampling
from tasks.common.errors import ModelError
from tasks.common.secrets import credentials, is_secret, redacted
from tasks.thoughts import opened
from tasks.types import Message, Sample

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


@register_model("harness")
class HarnessLM(LM):
    """Our runner of a folder, Hub id or ``nano`` as an lm-eval model: generation only."""

    def __init__(self, model: str = "nano", **_: Any) -> None:
        """``model`` is a name that ``open_runner`` knows; lm-eval's own settings are not used."""
        from runners.open import open_runner

        super().__init__()
        self.runner: Runner = open_runner(model)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The texts, in order. Raises ModelError where a question has no answer."""
        texts = [""] * len(requests)
        groups: defaultdict[Sampling, list[int]] = defaultdict(list)
        for i, one in enumerate(requests):
            groups[_sampling(one.args[1])].append(i)
        for sampling, places in groups.items():
            asked = [_request(str(i), requests[i].args[0]) for i in places]
            for number, (answer,) in self.runner.generate(asked, sampling):
                if answer.finish in ("failed", "error"):
                    raise ModelError(answer.error)
                texts[places[number]] = answer.text
        return texts

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Not offered."""
        raise NotImplementedError("the model 'harness' writes; it does not score given texts")

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Not offered."""
        raise NotImplementedError("the model 'harness' writes; it does not score given texts")

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The messages as JSON: the runner applies the model's template itself."""
        return json.dumps(chat_history, ensure_ascii=False)

    @property
    def tokenizer_name(self) -> str:
        return self.runner.name


def _request(id: str, context: str) -> Request:
    """A context of ``apply_chat_template``, else a plain text as one user message."""
    try:
        messages: list[Message] = json.loads(context)
        if not all("role" in one and "content" in one for one in messages):
            raise ValueError("no messages")
    except (ValueError, TypeError):
        messages = [Message(role="user", content=context)]
    return Request(Sample(id, "", "", ("",)), tuple(messages))


def _sampling(arguments: dict[str, Any]) -> Sampling:
    until = arguments.get("until") or []
    return Sampling(
        temperature=float(arguments.get("temperature") or 0.0) if arguments.get("do_sample") else 0.0,
        max_new_tokens=int(arguments.get("max_gen_toks") or 256),
        top_p=float(arguments.get("top_p") or 1.0),
        stop=(until,) if isinstance(until, str) else tuple(until),
    )


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
