"""A chat endpoint over HTTP: asked many times at once, patient with what passes, plain about what does not.

Asked again, with growing pauses: 408, 429 and 5xx, timeouts, broken connections, replies that are cut off
or no chat completion. Not asked again: any other 4xx. The key comes from the environment, and is cut out of
all that the endpoint says.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import Field

from tasks.errors import ModelError
from tasks.parse import Spec

if TYPE_CHECKING:
    import httpx

Read = TypeVar("Read")

OPENAI = "https://api.openai.com/v1"
MAX_REPLY = 16 * 2**20
"""Bytes of a reply after which it counts as broken."""
MAX_PAUSE = 60.0
"""Seconds: a server that asks for a longer pause is not waited for."""
AGAIN = (408, 429)
"""Client errors that pass by themselves; so do all 5xx."""
HOPELESS = (401, 403, 404, 405)
"""Replies that every question would get: wrong key, wrong model, wrong URL."""


class EndpointConfig(Spec):
    """Where an endpoint is and how it is asked."""

    base_url: str = ""
    """Up to and with ``/v1``. Default: the environment's OPENAI_BASE_URL, else OpenAI's."""
    key: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    concurrency: int = Field(16, ge=1, le=1024)
    """Requests under way at once."""
    timeout: float = Field(120.0, gt=0)
    """Seconds for a whole reply."""
    retries: int = Field(6, ge=0)
    backoff: float = Field(1.0, ge=0)
    """Seconds before the first retry, at most; doubled for each one after it."""
    logprobs: bool = False
    """Ask for the log-probabilities of answers."""
    body: Mapping[str, Any] = Field(default_factory=dict)
    """Parameters to send beside ours, or instead; null leaves one out."""
    input_price: float = Field(0.0, ge=0)
    """US dollars for a million prompt tokens."""
    output_price: float = Field(0.0, ge=0)
    """US dollars for a million tokens of answers."""

    @property
    def url(self) -> str:
        """The base URL that is used. Raises ModelError where it is none, or holds a password."""
        url = (self.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI).rstrip("/")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ModelError(f"base URL '{url}': expected http://HOST or https://HOST, up to and with /v1")
        if parts.username or parts.password or parts.query:
            raise ModelError(f"base URL of {parts.hostname}: keys belong in the environment, not in the URL")
        return url


class Unanswered(Exception):
    """A question that got no usable reply; ``str()`` says why in one line."""


class _Passing(Exception):
    """What another try may mend, after ``pause`` seconds where the server names them."""

    def __init__(self, why: str, pause: float = 0.0) -> None:
        super().__init__(why)
        self.pause = pause


class Endpoint:
    """One pooled connection to one endpoint; safe to use from many threads."""

    def __init__(self, config: EndpointConfig) -> None:
        """Raises ModelError: no usable URL, or OpenAI's without a key."""
        import httpx

        self.config = config
        self.url = config.url
        self._key = _key(config)
        self._closed = Event()
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(config.timeout, pool=None),
            limits=httpx.Limits(
                max_connections=config.concurrency, max_keepalive_connections=config.concurrency
            ),
        )

    def ask(self, body: Mapping[str, Any], read: Callable[[Any], Read]) -> Read:
        """POST to ``/chat/completions`` until ``read`` can read the reply's JSON, and return what it read.

        Raises Unanswered where that stays so, ModelError where every question would fare the same.
        """
        tries = self.config.retries + 1
        for number in range(tries):
            try:
                return self._ask_once(body, read)
            except _Passing as error:
                pause = max(error.pause, self.config.backoff * 2**number * random.uniform(0.5, 1))
                if number + 1 == tries or error.pause > MAX_PAUSE or self._closed.wait(min(pause, MAX_PAUSE)):
                    raise Unanswered(f"{error} (asked {number + 1} times)") from None
        raise AssertionError("the last try returns or raises")

    def _ask_once(self, body: Mapping[str, Any], read: Callable[[Any], Read]) -> Read:
        status, pause, text = self._post(body)
        if status == 200:
            try:
                return read(json.loads(text, object_pairs_hook=self._without_key))
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
                raise _Passing(self._hidden(f"no chat completion: {_shown(text)}")) from None
        said = self._hidden(f"HTTP {status}: {_shown(_error_text(text))}")
        if status in AGAIN or status >= 500:
            raise _Passing(said, pause)
        if status in HOPELESS:
            raise ModelError(f"{self.url}: {said}")
        raise Unanswered(said)

    def _post(self, body: Mapping[str, Any]) -> tuple[int, float, str]:
        """The status, the pause that the server asks for, and the text of one reply."""
        import httpx

        deadline = time.monotonic() + self.config.timeout
        data = bytearray()
        try:
            with self._client.stream("POST", f"{self.url}/chat/completions", json=body) as response:
                for chunk in response.iter_bytes():
                    data += chunk
                    if len(data) > MAX_REPLY:
                        raise _Passing(f"a reply of more than {MAX_REPLY} bytes")
                    if time.monotonic() > deadline:
                        raise httpx.ReadTimeout("a reply that comes too slowly")
        except httpx.TimeoutException:
            raise _Passing(f"no reply within {self.config.timeout:g} s") from None
        except httpx.RequestError as error:
            raise _Passing(self._hidden(f"{type(error).__name__}: {_shown(str(error))}")) from None
        return response.status_code, _pause(response.headers), data.decode("utf-8", "replace")

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text

    def _without_key(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: self._hidden(value) if isinstance(value, str) else value for name, value in pairs}

    def close(self) -> None:
        """End all waiting between tries, and the connections."""
        self._closed.set()
        self._client.close()


def _key(config: EndpointConfig) -> str:
    """The key from the environment, "" where there is none and none is needed."""
    key = os.environ.get(config.key, "").strip()
    if not key and config.url == OPENAI:
        raise ModelError(f"no key for {OPENAI}: set {config.key}, or name another --base-url")
    if not key.isascii() or not all(letter.isprintable() and letter != " " for letter in key):
        raise ModelError(f"{config.key} holds characters that no key has")
    return key


def _pause(headers: httpx.Headers) -> float:
    """Seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3: a number or a date); 0 where it does not."""
    value = headers.get("retry-after", "")
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return 0.0


def _error_text(text: str) -> str:
    """The message of an error reply in OpenAI's form, else the reply."""
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return text


def _shown(text: str) -> str:
    """Foreign text as a part of one line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:2000]).split())
    return line[:200] or "an empty reply"
