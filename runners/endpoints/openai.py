"""Answers from any server that speaks OpenAI's chat completions: vLLM, SGLang, Ollama, hosted ones."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from runners.endpoints.client import Endpoint, Refused, Unanswered
from runners.endpoints.config import OPENAI, EndpointConfig
from runners.endpoints.failures import Patience, few
from runners.endpoints.replies import Reply, read
from runners.endpoints.template_thoughts import Unseen
from runners.endpoints.threads import in_threads
from runners.types import NEUTRAL, Completion, Finish, Request, Sampling
from tasks.common.errors import ModelError
from tasks.common.terminal import say
from tasks.types import Message

STANDARD = ("presence_penalty", "frequency_penalty")
"""Of ``NEUTRAL``, what OpenAI's own API knows; the others are vLLM's, SGLang's and llama.cpp's."""
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
    """What an endpoint calls the limit of an answer, and whether it knows sampling beyond OpenAI's."""

    limit: str
    extended: bool


class OpenAIRunner:
    """One model of one endpoint, asked ``concurrency`` questions at a time."""

    def __init__(self, model: str, config: EndpointConfig | None = None) -> None:
        """Raises ModelError: no usable URL, or OpenAI's without a key."""
        self.model = model
        self.name = f"openai:{model}"
        self.config = config or EndpointConfig()
        self.endpoint = Endpoint(self.config)
        official = self.endpoint.url == OPENAI
        self._dialect = Dialect("max_completion_tokens" if official else "max_tokens", not official)
        self._lock = Lock()
        self._settled = False
        self._unseen = Unseen(self.config.thought)

    @property
    def unsent(self) -> tuple[str, ...]:
        """What of ``NEUTRAL`` the endpoint does not take, as far as is known."""
        if self._dialect.extended:
            return ()
        return tuple(name for name in NEUTRAL if name not in STANDARD and name not in self.config.body)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index, n completions)`` as replies come; what got none is no answer, and says why.

        A question that the endpoint refuses, while it answers others, is ``unanswered``. The few that got no
        usable reply are asked once more at the end: those that get none again are ``failed``, or ``error``
        where the endpoint is busy, gone, or fails on many. Raises ModelError where it refuses every question,
        or is gone.
        """
        patience = Patience(self.endpoint.url)
        lost: dict[int, list[Completion]] = {}

        def ask(request: Request) -> list[Completion]:
            return self._ask(request, sampling)

        held: dict[int, list[Completion]] = {}
        try:
            for index, answers in in_threads(ask, requests, self.config.concurrency):
                if any(answer.finish == "error" for answer in answers):
                    lost[index] = answers
                elif any(map(self._unseen.may_be_thought, answers)):
                    held[index] = answers
                else:
                    yield index, self._unseen.shown(answers)
                if not self._unseen.undecided:
                    yield from self._let_go(held)
                patience.note(answers)
        except ModelError:
            yield from self._let_go(held)
            yield from lost.items()
            raise
        for index, answers in self._once_more(requests, sampling, lost):
            yield index, self._unseen.shown(answers)
        if held and not self._unseen.ended:
            say(
                f"{self.endpoint.url}: the limit of tokens cut {len(held)} answers, and none ended: if the"
                " chat template opens a thought, raise --max-new-tokens or set runner.endpoint.thought"
            )
        yield from self._let_go(held)

    def _let_go(self, held: dict[int, list[Completion]]) -> Iterator[tuple[int, list[Completion]]]:
        """The answers that were held back, for they may be thoughts that were cut."""
        while held:
            index, answers = held.popitem()
            yield index, self._unseen.shown(answers)

    def _once_more(
        self, requests: Sequence[Request], sampling: Sampling, lost: Mapping[int, list[Completion]]
    ) -> Iterator[tuple[int, list[Completion]]]:
        """The questions that got no usable reply, asked again where the endpoint answers others."""
        if not lost or len(lost) > few(len(requests)) or not self._alive(requests[0], sampling):
            yield from lost.items()
            return
        places = list(lost)

        def ask(index: int) -> list[Completion]:
            return self._ask(requests[index], sampling, final=True)

        for number, answers in in_threads(ask, places, self.config.concurrency):
            yield places[number], answers

    def _ask(self, request: Request, sampling: Sampling, final: bool = False) -> list[Completion]:
        """The answers to one question. A server that gives fewer than it is asked for is asked again."""
        answers: list[Completion] = []
        while len(answers) < sampling.n:
            dialect = self._dialect
            body = self._body(request.messages, sampling, len(answers), dialect)
            began = time.perf_counter()
            try:
                reply = self.endpoint.ask(body, read)
            except Unanswered as error:
                finish: Finish = "failed" if final and not error.busy else "error"
                return answers + [_missing(finish, error)] * (sampling.n - len(answers))
            except Refused as error:
                if self._settle(request, sampling, error) == dialect:
                    return answers + [_missing("unanswered", error)] * (sampling.n - len(answers))
                continue
            answers += self._completions(reply, time.perf_counter() - began)
        return answers[: sampling.n]

    def _settle(self, request: Request, sampling: Sampling, error: Refused) -> Dialect:
        """The dialect in which the endpoint answers a plain question put like this one.

        Where it is the one in which this question was refused, the refusal is about the question. Raises
        ModelError where the endpoint answers in none: then its settings are refused.
        """
        with self._lock:
            own = self._dialect
            other = "max_tokens" if own.limit == "max_completion_tokens" else "max_completion_tokens"
            tried = [own]
            if not self._settled:
                tried += [Dialect(own.limit, False)] if own.extended else []
                tried += [Dialect(other, own.extended), Dialect(other, False)]
            why: Exception = error
            for dialect in dict.fromkeys(tried):
                try:
                    self._probe(request, sampling, dialect)
                except (Refused, Unanswered) as found:
                    why = found
                    continue
                self._adopt(dialect)
                return dialect
            advice = _advice(str(why), self._body((), sampling, 0, own))
            raise ModelError(f"{self.endpoint.url}: {why}{advice}")

    def _adopt(self, dialect: Dialect) -> None:
        if self._dialect.extended and not dialect.extended:
            say(
                f"{self.endpoint.url} takes no {', '.join(name for name in NEUTRAL if name not in STANDARD)}:"
                " what its server sets for them is not known, and the run records them as null"
            )
        self._dialect, self._settled = dialect, True

    def _alive(self, request: Request, sampling: Sampling) -> bool:
        try:
            self._probe(request, sampling, self._dialect)
        except (Refused, Unanswered, ModelError):
            return False
        return True

    def _probe(self, request: Request, sampling: Sampling, dialect: Dialect) -> None:
        """Ask a plain question with the roles of this one."""
        messages = [Message(role=one["role"], content="Hello") for one in request.messages]
        self.endpoint.ask(self._body(messages, sampling, 0, dialect), read)

    def _body(
        self, messages: Sequence[Message], sampling: Sampling, done: int, dialect: Dialect
    ) -> dict[str, Any]:
        neutral = {name: value for name, value in NEUTRAL.items() if dialect.extended or name in STANDARD}
        body: dict[str, Any] = {
            "model": self.model,
            "messages": list(messages),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            **neutral,
            "seed": sampling.seed + done,
            dialect.limit: sampling.max_new_tokens,
        }
        if sampling.n - done > 1:
            body["n"] = sampling.n - done
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if self.config.logprobs:
            body["logprobs"] = True
        body |= self.config.body
        return {name: value for name, value in body.items() if value is not None}

    def _completions(self, reply: Reply, seconds: float) -> list[Completion]:
        """The choices of a reply; its time, tokens and cost are shared out among them."""
        count = len(reply.choices)
        for choice in reply.choices:
            self._unseen.note(choice)
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


def _missing(finish: Finish, error: Exception) -> Completion:
    return Completion("", finish=finish, error=str(error))


def _advice(why: str, body: Mapping[str, Any]) -> str:
    """What to set where a refusal names a parameter that was sent."""
    for name in body:
        named = rf"[\"'`.]{name}[\"'`]|\b{name}\b" if len(name) > 1 else rf"[\"'`.]{name}[\"'`]"
        if name not in ("model", "messages") and re.search(named, why):
            flag = f"set {FLAGS[name]}, or leave" if name in FLAGS else "leave"
            return f" ({flag} it out with --set runner.endpoint.body.{name}=null)"
    return ""
