"""Our runners as a model of lm-evaluation-harness."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

from runners.open import open_runner
from runners.types import Request, Runner, Sampling
from tasks.common.errors import ModelError
from tasks.types import Message, Sample


@register_model("harness")
class HarnessLM(LM):
    """Our runner of a folder, Hub id or ``nano`` as an lm-eval model: generation only."""

    def __init__(self, model: str = "nano", **_: Any) -> None:
        """``model`` is a name that ``open_runner`` takes; lm-eval's own settings are ignored."""
        super().__init__()
        self.runner: Runner = open_runner(model)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The answers, in the order of the requests. Raises ModelError where a question gets none."""
        texts = [""] * len(requests)
        by_sampling: defaultdict[Sampling, list[int]] = defaultdict(list)
        for i, request in enumerate(requests):
            by_sampling[_sampling(request.args[1])].append(i)
        for sampling, indices in by_sampling.items():
            asked = [_request(str(i), requests[i].args[0]) for i in indices]
            for number, (answer,) in self.runner.generate(asked, sampling):
                if answer.finish in ("failed", "error"):
                    raise ModelError(answer.error)
                texts[indices[number]] = answer.text
        return texts

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Not supported."""
        raise NotImplementedError(
            "the model 'harness' only generates: use tasks with output_type generate_until"
        )

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Not supported."""
        raise NotImplementedError(
            "the model 'harness' only generates: use tasks with output_type generate_until"
        )

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The messages as JSON: the runner applies the model's template itself."""
        return json.dumps(chat_history, ensure_ascii=False)

    @property
    def tokenizer_name(self) -> str:
        return self.runner.name


def _request(id: str, context: str) -> Request:
    """The request of a context from ``apply_chat_template``; a plain text becomes one user message."""
    try:
        messages: list[Message] = json.loads(context)
        if not all("role" in message and "content" in message for message in messages):
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
