"""An HTTP client for a chat endpoint, which retries temporary failures and is safe to use in many threads.

It retries HTTP 408, 429 and 5xx, timeouts, broken connections, and replies that are cut off or no chat
completion, with growing pauses. It does not retry other 4xx, or an endpoint that was never reached. The key
comes from the environment, and is removed from errors but not from answers.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from runners.batching import context_exceeded
from runners.endpoints.config import EndpointConfig, is_local, key_of
from runners.endpoints.replies import NoAnswer
from tasks.common.errors import ModelError
from tasks.common.secrets import redacted, secrets_in

if TYPE_CHECKING:
    import httpx

Read = TypeVar("Read")

MAX_REPLY = 16 * 2**20
"""Most bytes of a reply; a longer one counts as broken."""
MAX_PAUSE = 60.0
"""Longest pause in seconds; if a server asks for a longer one, the question is not retried."""
RETRIED = (408, 429)
"""Temporary client errors; all 5xx are temporary, too."""
BUSY = (408, 429, 503, 529)
"""Temporary errors that do not depend on the question."""
FATAL = (401, 402, 403, 404, 405)
"""Errors that every question would get: wrong key, no credit, wrong model, wrong URL."""
MODERATED = 403
"""With this status some gateways refuse a single question: if others were answered, it is taken so."""
CONNECT_SECONDS = 5.0
"""Longest wait for a connection, in seconds."""
FIRST_TRIES = 3
"""Connections tried before an endpoint that never replied counts as missing."""
FIRST_PAUSE = 0.3
"""Seconds between these tries."""
SHOWN = 200
"""Characters of a reply that an error shows."""


class Unanswered(Exception):
    """A question got no usable reply; ``str()`` gives the reason in one line.

    ``busy``: the endpoint was busy or gone, so the question is not the cause.
    """

    def __init__(self, reason: str, busy: bool = False) -> None:
        super().__init__(reason)
        self.busy = busy


class Refused(Exception):
    """The endpoint refuses a question, and asking again is useless; ``str()`` is the reason in one line."""


class Unreachable(ModelError):
    """An endpoint never replied."""


class Temporary(Exception):
    """A temporary failure. ``pause``: seconds that the server asks to wait, else 0."""

    def __init__(self, reason: str, pause: float = 0.0, busy: bool = False) -> None:
        super().__init__(reason)
        self.pause, self.busy = pause, busy


class Endpoint:
    """One pooled connection to one endpoint; safe to use from many threads."""

    def __init__(self, config: EndpointConfig, path: str = "/chat/completions") -> None:
        """Raises ModelError: no usable URL, or OpenAI's without a key."""
        import httpx

        self.config = config
        self.url, self.path = config.url, path
        self._key = key_of(config)
        self._secrets = (self._key, *secrets_in(config.body))
        self._reached = self.answered = False
        self._closed = Event()
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(config.timeout, connect=min(CONNECT_SECONDS, config.timeout), pool=None),
            limits=httpx.Limits(
                max_connections=config.concurrency, max_keepalive_connections=config.concurrency
            ),
            trust_env=not is_local(self.url),
        )

    def ask(self, body: Mapping[str, Any], read: Callable[[Any], Read]) -> Read:
        """POST to ``path`` until ``read`` can read the reply's JSON, and return what it read.

        Raises Unanswered after the last try, Refused where the endpoint refuses the question, ModelError
        where it would refuse every question.
        """
        tries = self.config.retries + 1
        for number in range(tries):
            try:
                return self.ask_once(body, read)
            except (Temporary, NoAnswer) as error:
                requested = error.pause if isinstance(error, Temporary) else 0.0
                pause = max(requested, self.config.backoff * 2**number * random.uniform(0.5, 1))
                retry = number + 1 < tries and requested <= MAX_PAUSE
                if retry and not self._closed.wait(min(pause, MAX_PAUSE)):
                    continue
                reason = f"{error} (asked {number + 1} times)"
                if isinstance(error, Temporary):
                    raise Unanswered(reason, error.busy) from None
                raise Refused(reason) from None
        raise AssertionError("the last try returns or raises")

    def ask_once(self, body: Mapping[str, Any], read: Callable[[Any], Read]) -> Read:
        """As ``ask``, with a single try. Raises Temporary and NoAnswer too."""
        status, pause, text = self._post(body)
        reply = _parsed(text)
        if 200 <= status < 300:
            status = _inner_status(reply)
        if status == 200:
            try:
                answer = read(reply)
                self.answered = True
                return answer
            except NoAnswer as error:
                raise NoAnswer(f"{error}: {self._shown(text)}") from None
            except (ValueError, TypeError, LookupError, AttributeError):
                raise Temporary(f"no chat completion: {self._shown(text)}") from None
        failure = f"HTTP {status}: {self._shown(_error_text(reply, text))}"
        if context_exceeded(failure):
            raise Refused(failure)
        if "insufficient_quota" in text:
            raise ModelError(f"{self.url}: {failure}")
        if 300 <= status < 400 and not self.answered:
            raise ModelError(f"{self.url}: {failure} (it redirects: set --base-url to the new URL)")
        if status == 500 and "validation error" in failure:  # llama-cpp-python's answer to a parameter
            raise Refused(failure)
        if status in RETRIED or status < 400 or status >= 500:
            raise Temporary(failure, pause, status in BUSY)
        if status in FATAL and not (status == MODERATED and self.answered):
            bare = status == 404 and not urlsplit(self.url).path
            raise ModelError(f"{self.url}: {failure}{' (is /v1 missing at its end?)' if bare else ''}")
        raise Refused(failure)

    def _post(self, body: Mapping[str, Any]) -> tuple[int, float, str]:
        """The status, the pause that the server asks for, and the text of one reply."""
        import httpx

        deadline = time.monotonic() + self.config.timeout
        data = bytearray()
        try:
            with self._connected(json.dumps(body).encode()) as response:
                for chunk in response.iter_bytes():
                    data += chunk
                    if len(data) > MAX_REPLY:
                        raise Temporary(f"a reply of more than {MAX_REPLY} bytes")
                    if time.monotonic() > deadline:
                        raise httpx.ReadTimeout("a reply that comes too slowly")
        except httpx.TimeoutException:
            raise Temporary(f"no reply within {self.config.timeout:g} s") from None
        except httpx.RequestError as error:
            unreachable = isinstance(error, httpx.ConnectError)
            raise Temporary(f"{type(error).__name__}: {self._shown(str(error))}", busy=unreachable) from None
        except RuntimeError:  # httpx raises it where the client is closed
            if not self._closed.is_set():
                raise
            raise Temporary("closed before it was asked", busy=True) from None
        return response.status_code, _pause(response.headers), data.decode("utf-8-sig", "replace")

    @contextmanager
    def _connected(self, content: bytes) -> Iterator[httpx.Response]:
        """A reply whose headers have arrived. Raises ModelError where the endpoint was never reached."""
        import httpx

        headers = {"Content-Type": "application/json"}
        for number in range(FIRST_TRIES):
            request = self._client.build_request(
                "POST", f"{self.url}{self.path}", content=content, headers=headers
            )
            try:
                response = self._client.send(request, stream=True)
                break
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if self._reached:
                    raise
                give_up = isinstance(error, httpx.ConnectTimeout) or self._closed.wait(FIRST_PAUSE)
                if give_up or number + 1 == FIRST_TRIES:
                    reason = self._shown(str(error)) if str(error) else "no connection in time"
                    raise Unreachable(f"{self.url} cannot be reached: {reason}") from None
        self._reached = True
        try:
            yield response
        finally:
            response.close()

    def _shown(self, text: str) -> str:
        """The text of a reply or an error as part of one line, without secrets."""
        return _line(redacted(text[: 100 * SHOWN], *self._secrets))

    def close(self) -> None:
        """End the pauses between tries, and close the connections."""
        self._closed.set()
        self._client.close()


def _pause(headers: httpx.Headers) -> float:
    """Seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3: a number or a date); 0 if it does not."""
    value = headers.get("retry-after", "")
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return 0.0


def _parsed(text: str) -> Any:
    """The reply's JSON; None if it is invalid."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _inner_status(reply: Any) -> int:
    """The status of an error in the body of a reply with status 200, as some gateways send; else 200."""
    if not isinstance(reply, dict) or not reply.get("error") or reply.get("choices"):
        return 200
    code = reply["error"].get("code") if isinstance(reply["error"], dict) else None
    status = int(str(code)) if str(code).isdecimal() else 500
    return status if 400 <= status < 600 else 500


def _error_text(reply: Any, text: str) -> str:
    """The message of an error reply in OpenAI's form, else the reply."""
    error = reply.get("error") if isinstance(reply, dict) else None
    if isinstance(error, dict) and error.get("message"):
        return str(error["message"])
    return error if isinstance(error, str) else text


def _line(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 10 * SHOWN]).split())
    return line[:SHOWN] or "an empty reply"
