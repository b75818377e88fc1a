"""Answers from any server with OpenAI's chat completions API: vLLM, SGLang, Ollama, hosted services."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from runners.batching import FailureLimit, few_failures, in_threads
from runners.chat_templates import plain_text
from runners.endpoints.client import Endpoint, Refused, Unanswered
from runners.endpoints.config import OPENAI, EndpointConfig
from runners.endpoints.replies import Reply, TemplateThoughts, read
from runners.endpoints.several import Endpoints
from runners.types import NEUTRAL, Completion, Finish, Request, Sampling
from tasks.common.errors import ModelError
from tasks.common.terminal import say
from tasks.types import Message

STANDARD = ("presence_penalty", "frequency_penalty")
"""Parameters of ``NEUTRAL`` that OpenAI's own API has; the others are vLLM's and SGLang's."""
FAMILIES: Mapping[str, Mapping[str, float]] = {
    "vllm": NEUTRAL,
    "llama.cpp": {
        "top_k": 0,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        **{name: NEUTRAL[name] for name in STANDARD},
    },
    "openai": {name: NEUTRAL[name] for name in STANDARD},
}
"""How servers take the parameters of ``NEUTRAL``, in the order in which they are tried."""
FLAGS = {
    "temperature": "--temperature",
    "top_p": "--top-p",
    "n": "--samples",
    "max_tokens": "--max-new-tokens",
    "max_completion_tokens": "--max-new-tokens",
}
"""Parameter -> the option that sets it."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The sampling parameters that an endpoint accepts."""

    limit: str
    """The name of the answer's token limit."""
    family: str
    """The key of ``FAMILIES``."""


class OpenAIRunner:
    """One model of one endpoint, asked ``concurrency`` questions at a time."""

    def __init__(self, model: str, config: EndpointConfig | None = None, completion: bool = False) -> None:
        """``completion``: the model continues the messages' text, by ``/completions``.

        Raises ModelError: no usable URL, or OpenAI's without a key.
        """
        self.model = model
        self.name = f"openai:{model}"
        self.config = config or EndpointConfig()
        self.completion = completion
        path = "/completions" if completion else "/chat/completions"
        servers = len(self.config.urls)
        self.endpoint = Endpoints(self.config, path) if servers > 1 else Endpoint(self.config, path)
        self._threads = servers * self.config.concurrency
        official = self.endpoint.url == OPENAI
        self._dialect = Dialect(
            *(("max_completion_tokens", "openai") if official else ("max_tokens", "vllm"))
        )
        self._lock = Lock()
        self._settled = False
        self._thoughts = TemplateThoughts(self.config.thought)

    @property
    def unsent(self) -> tuple[str, ...]:
        """The parameters of ``NEUTRAL`` that the endpoint does not accept, as far as is known."""
        if self._dialect.family != "openai":
            return ()
        return tuple(name for name in NEUTRAL if name not in STANDARD and name not in self.config.body)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index, n completions)`` as replies come.

        A question that the endpoint refuses while it answers others is ``unanswered``. Questions without a
        usable reply are asked again at the end if they are few. Those that fail again are ``failed``, or
        ``error`` if the endpoint is busy or gone. Raises ModelError: it refuses every question, or is gone.
        """
        limit = FailureLimit(self.endpoint.url)
        failed: dict[int, list[Completion]] = {}
        held: dict[int, list[Completion]] = {}  # answers that were cut and may be thoughts

        def ask(request: Request) -> list[Completion]:
            return self._ask(request, sampling)

        try:
            for index, answers in in_threads(ask, requests, self._threads):
                if any(answer.finish == "error" for answer in answers):
                    failed[index] = answers
                elif any(map(self._thoughts.may_be_thought, answers)):
                    held[index] = answers
                else:
                    yield index, self._thoughts.with_tags(answers)
                if not self._thoughts.undecided:
                    yield from self._release(held)
                limit.count(answers)
        except ModelError:
            yield from self._release(held)
            yield from failed.items()
            raise
        for index, answers in self._ask_again(requests, sampling, failed):
            yield index, self._thoughts.with_tags(answers)
        if held and not self._thoughts.complete_replies:
            say(
                f"{self.endpoint.url}: the token limit cut all {len(held)} answers: if the chat template"
                " opens a thought, raise --max-new-tokens or set runner.endpoint.thought"
            )
        yield from self._release(held)

    def _release(self, held: dict[int, list[Completion]]) -> Iterator[tuple[int, list[Completion]]]:
        """Yield the answers that were held back."""
        while held:
            index, answers = held.popitem()
            yield index, self._thoughts.with_tags(answers)

    def _ask_again(
        self, requests: Sequence[Request], sampling: Sampling, failed: Mapping[int, list[Completion]]
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Ask the failed questions again if they are few and the endpoint answers a plain question."""
        few = few_failures(len(failed), len(requests))
        if not few or not self._answers_plain_question(requests[0], sampling):
            yield from failed.items()
            return
        indices = list(failed)

        def ask(index: int) -> list[Completion]:
            return self._ask(requests[index], sampling, final=True)

        for number, answers in in_threads(ask, indices, self._threads):
            yield indices[number], answers

    def _ask(self, request: Request, sampling: Sampling, final: bool = False) -> list[Completion]:
        """The answers to one question. A server that returns fewer than n is asked again for the others."""
        answers: list[Completion] = []
        while len(answers) < sampling.n:
            dialect = self._dialect
            body = self._body(request.messages, sampling, len(answers), dialect)
            began = time.perf_counter()
            try:
                reply = self.endpoint.ask(body, read)
            except Unanswered as error:
                finish: Finish = "failed" if final and not error.busy else "error"
                return answers + [_no_answer(finish, error)] * (sampling.n - len(answers))
            except Refused as error:
                if self._find_dialect(request, sampling, error) == dialect:
                    return answers + [_no_answer("unanswered", error)] * (sampling.n - len(answers))
                continue
            answers += self._completions(reply, time.perf_counter() - began)
        return answers[: sampling.n]

    def _find_dialect(self, request: Request, sampling: Sampling, error: Refused) -> Dialect:
        """Find the dialect in which the endpoint answers a plain question with the roles of this request.

        If this is the dialect in which the question was refused, the endpoint refused the question itself.
        Raises ModelError: the endpoint answers in no dialect, so it refuses the settings.
        """
        with self._lock:
            own = self._dialect
            other = "max_tokens" if own.limit == "max_completion_tokens" else "max_completion_tokens"
            families = list(FAMILIES)[list(FAMILIES).index(own.family) :]
            tried = [Dialect(limit, family) for limit in (own.limit, other) for family in families]
            last_refusal: Exception = error
            for dialect in tried[:1] if self._settled else tried:
                try:
                    self._probe(request, sampling, dialect)
                except (Refused, Unanswered) as refusal:
                    last_refusal = refusal
                    continue
                self._adopt(dialect)
                return dialect
            advice = _advice(str(last_refusal), self._body((), sampling, 0, own))
            raise ModelError(f"{self.endpoint.url}: {last_refusal}{advice}")

    def _adopt(self, dialect: Dialect) -> None:
        if self._dialect.family != "openai" and dialect.family == "openai":
            say(
                f"{self.endpoint.url} takes no {', '.join(name for name in NEUTRAL if name not in STANDARD)}:"
                " the server's own values are unknown, and the run records them as null"
            )
        self._dialect, self._settled = dialect, True

    def _answers_plain_question(self, request: Request, sampling: Sampling) -> bool:
        try:
            self._probe(request, sampling, self._dialect)
        except (Refused, Unanswered, ModelError):
            return False
        return True

    def _probe(self, request: Request, sampling: Sampling, dialect: Dialect) -> None:
        """Ask a plain question with the roles of this request."""
        messages = [Message(role=message["role"], content="Hello") for message in request.messages]
        self.endpoint.ask(self._body(messages, sampling, 0, dialect), read)

    def _body(
        self, messages: Sequence[Message], sampling: Sampling, done: int, dialect: Dialect
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            **({"prompt": plain_text(messages)} if self.completion else {"messages": list(messages)}),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            **FAMILIES[dialect.family],
            "seed": sampling.seed + done,
            dialect.limit: sampling.max_new_tokens,
        }
        if sampling.n - done > 1:
            body["n"] = sampling.n - done
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if self.config.logprobs:
            body["logprobs"] = 1 if self.completion else True
        body |= self.config.body
        return {name: value for name, value in body.items() if value is not None}

    def _completions(self, reply: Reply, seconds: float) -> list[Completion]:
        """The choices of a reply; its time, tokens and cost are divided among them."""
        count = len(reply.choices)
        for choice in reply.choices:
            self._thoughts.observe(choice)
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


def _no_answer(finish: Finish, error: Exception) -> Completion:
    return Completion("", finish=finish, error=str(error))


def _advice(refusal: str, body: Mapping[str, Any]) -> str:
    """Advice on the parameter that a refusal names; "" if it names none that was sent."""
    for name in body:
        named = rf"[\"'`.]{name}[\"'`]|\b{name}\b" if len(name) > 1 else rf"[\"'`.]{name}[\"'`]"
        if name not in ("model", "messages", "prompt") and re.search(named, refusal):
            flag = f"set {FLAGS[name]}, or leave" if name in FLAGS else "leave"
            return f" ({flag} it out with --set runner.endpoint.body.{name}=null)"
    return ""
