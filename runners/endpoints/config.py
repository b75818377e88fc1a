"""The settings of a chat endpoint: ``--set runner.endpoint.KEY=VALUE`` on the command line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from tasks.common.errors import ModelError
from tasks.common.parse import Spec
from tasks.common.secrets import credentials

OPENAI = "https://api.openai.com/v1"


class EndpointConfig(Spec):
    """A server with OpenAI's chat completions."""

    base_url: str = ""
    """URL up to and including ``/v1``; "": the environment's OPENAI_BASE_URL, otherwise OpenAI's."""
    replicas: tuple[str, ...] = ()
    """URLs of further servers with the same model, which share the questions."""
    key: str = "OPENAI_API_KEY"
    """Name of the environment variable with the API key."""
    concurrency: int = Field(16, ge=1, le=1024)
    """Most concurrent requests to a server."""
    timeout: float = Field(120.0, gt=0)
    """Seconds that a reply may take."""
    retries: int = Field(6, ge=0)
    """How often a failed request is repeated."""
    backoff: float = Field(1.0, ge=0)
    """Most seconds before the first retry; doubled for each further one."""
    logprobs: bool = False
    """Request the log-probabilities of answers."""
    body: Mapping[str, Any] = Field(default_factory=dict)
    """Parameters of the request that add to or replace ours; null omits one. The run records them."""
    thought: str = ""
    """The tag with which the server's chat template opens the model's reasoning (``<think>``), if replies
    contain reasoning; "": inferred from the replies."""
    input_price: float = Field(0.0, ge=0)
    """US dollars per million prompt tokens."""
    output_price: float = Field(0.0, ge=0)
    """US dollars per million answer tokens."""

    @field_validator("base_url")
    @classmethod
    def _without_path(cls, url: str) -> str:
        return _base(url)

    @field_validator("replicas")
    @classmethod
    def _without_paths(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_base, urls))

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs of all servers, each once. Raises ModelError."""
        others = [self.model_copy(update={"base_url": url}).url for url in self.replicas]
        return tuple(dict.fromkeys([self.url, *others]))

    @property
    def url(self) -> str:
        """The base URL that is used. Raises ModelError where it is invalid, or has a password."""
        url = self.base_url or _base(os.environ.get("OPENAI_BASE_URL", "")) or OPENAI
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ModelError(
                f"base URL '{url}': expected http://HOST or https://HOST, up to and including /v1"
            )
        if credentials(url) or parts.query:
            raise ModelError(f"base URL of {parts.hostname}: set keys in the environment, not in the URL")
        return url


def is_local(url: str) -> bool:
    """Whether a URL points to this machine; then the proxy settings of the environment are ignored."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _base(url: str) -> str:
    """A base URL without the path that the client adds."""
    return url.strip().rstrip("/").removesuffix("/completions").removesuffix("/chat").rstrip("/")


def key_of(config: EndpointConfig) -> str:
    """The key from the environment; "" where it is neither set nor needed. Raises ModelError."""
    if config.key and not re.fullmatch(r"[A-Za-z_]\w*", config.key):
        raise ModelError(
            "runner.endpoint.key is the name of an environment variable: set it to one that holds the key"
        )
    key = os.environ.get(config.key, "").strip()
    if not key and config.url == OPENAI:
        raise ModelError(f"no key for {OPENAI}: set {config.key}, or name another --base-url")
    if not key.isascii() or not all(letter.isprintable() and letter != " " for letter in key):
        raise ModelError(
            f"{config.key} has characters that no key has: remove spaces and non-ASCII characters"
        )
    return key
