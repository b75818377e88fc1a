"""Answers from any server that speaks OpenAI's chat completions: vLLM, SGLang, Ollama, hosted ones."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from runners.endpoint import OPENAI, Endpoint, EndpointConfig, Unanswered
from runners.failures import Patience
from runners.threads import in_threads
from runners.types import Completion, Finish, Request, Sampling


class OpenAIRunner:
    """One model of one endpoint, asked ``concurrency`` questions at a time."""

    def __init__(self, model: str, config: EndpointConfig | None = None) -> None:
        """Raises ModelError: no usable URL, or OpenAI's without a key."""
        self.model = model
        self.name = f"openai:{model}"
        self.config = config or EndpointConfig()
        self.endpoint = Endpoint(self.config)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index, n completions)`` as replies come; what got none is an error, never an answer.

        Raises ModelError where the endpoint refuses every question, or is gone.
        """
        patience = Patience(self.endpoint.url)

        def ask(request: Request) -> list[Completion]:
            return self._ask(request, sampling)

        for index, answers in in_threads(ask, requests, self.config.concurrency):
            yield index, answers
            patience.note(answers)

    def _ask(self, request: Request, sampling: Sampling) -> list[Completion]:
        """The answers to one question. A server that gives fewer than it is asked for is asked again."""
        answers: list[Completion] = []
        while len(answers) < sampling.n:
            body = self._body(request, sampling, len(answers))
            began = time.perf_counter()
            try:
                reply = self.endpoint.ask(body, _read)
            except Unanswered as error:
                missing = sampling.n - len(answers)
                return answers + [Completion("", finish="error", error=str(error))] * missing
            answers += self._completions(reply, time.perf_counter() - began)
        return answers[: sampling.n]

    def _body(self, request: Request, sampling: Sampling, done: int) -> dict[str, Any]:
        limit = "max_completion_tokens" if self.endpoint.url == OPENAI else "max_tokens"
        body: dict[str, Any] = {
            "model": self.model,
            "messages": list(request.messages),
            "temperature": sampling.temperature,
            "seed": sampling.seed + done,
            limit: sampling.max_new_tokens,
        }
        if sampling.n - done > 1:
            body["n"] = sampling.n - done
        if sampling.top_p < 1:
            body["top_p"] = sampling.top_p
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if self.config.logprobs:
            body["logprobs"] = True
        body |= self.config.body
        return {name: value for name, value in body.items() if value is not None}

    def _completions(self, reply: _Reply, seconds: float) -> list[Completion]:
        """The choices of a reply; its time, tokens and cost are shared out among them."""
        count = len(reply.choices)
        price = reply.prompt_tokens * self.config.input_price + reply.tokens * self.config.output_price
        return [
            Completion(
                text=choice.text,
                prompt_tokens=reply.prompt_tokens,
                tokens=reply.tokens // count + (number < reply.tokens % count),
                seconds=seconds / count,
                finish=choice.finish,
                logprob=choice.logprob,
                cost=price / 1e6 / count,
            )
            for number, choice in enumerate(reply.choices)
        ]

    def close(self) -> None:
        """End the connections."""
        self.endpoint.close()


class _Choice(NamedTuple):
    text: str
    finish: Finish
    logprob: float | None


class _Reply(NamedTuple):
    """What is used of a reply."""

    choices: list[_Choice]
    prompt_tokens: int
    tokens: int


def _read(reply: Any) -> _Reply:
    """A chat completion. Raises ValueError, TypeError, LookupError or AttributeError where it is none."""
    choices = [
        _Choice(
            _text(choice["message"]["content"]),
            "length" if choice.get("finish_reason") == "length" else "stop",
            _logprob(choice.get("logprobs")),
        )
        for choice in reply["choices"]
    ]
    if not choices:
        raise ValueError("no choices")
    usage = reply.get("usage") or {}
    return _Reply(choices, int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))


def _text(content: Any) -> str:
    """The text of an answer; "" where the model refused, or spent all its tokens on reasoning."""
    if content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError("content is no text")
    return content.encode("utf-8", "replace").decode()


def _logprob(logprobs: Any) -> float | None:
    if not logprobs or not logprobs.get("content"):
        return None
    return float(sum(token["logprob"] for token in logprobs["content"]))
