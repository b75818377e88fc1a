"""The chat template of a tokenizer: the model's own, another file's, or none (completion), and its arguments.

The choice becomes part of the tokenizer, so evaluation, training, vLLM and a saved model all render alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from tasks.common.digests import digest_of
from tasks.common.errors import ModelError
from tasks.common.parse import Spec
from tasks.types import Message

COMPLETION = "completion"
PLAIN = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% elif message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% else %}{{ message['content'] }}{% endif %}{% endfor %}"
)
"""The messages as plain text, for models without a chat template."""


class TemplateSettings(Spec):
    """How chat messages become the text that the model reads."""

    chat_template: str = ""
    """Path of a Jinja file that replaces the model's chat template; ``completion``: no chat template, the
    model continues the prompt's text; "": the model's own (``completion`` if the prompt is one)."""
    chat_template_kwargs: Mapping[str, Any] = Field(default_factory=dict)
    """Arguments of the chat template, such as ``enable_thinking``: false or ``reasoning_effort``: low."""

    @property
    def is_completion(self) -> bool:
        """Whether the model continues plain text."""
        return self.chat_template == COMPLETION

    def template_identity(self) -> dict[str, object]:
        """What decides the rendered text, where it is not the model's own template. Raises ModelError."""
        identity: dict[str, object] = {}
        if self.chat_template:
            identity["chat template"] = digest_of(PLAIN if self.is_completion else _read(self.chat_template))
        if self.chat_template_kwargs:
            identity["chat template's arguments"] = dict(self.chat_template_kwargs)
        return identity


def set_template(tokenizer: Any, settings: TemplateSettings, name: str) -> None:
    """Give a tokenizer the chat template of the settings, with their arguments as its defaults.

    Raises ModelError: the model has no chat template, or its template has no such argument.
    """
    if settings.is_completion:
        tokenizer.chat_template = _plain(tokenizer)
    elif settings.chat_template:
        tokenizer.chat_template = _read(settings.chat_template)
    if tokenizer.chat_template is None:
        raise ModelError(
            f"{name}: its tokenizer has no chat template: use the instruct version of the model, or set"
            " prompt.template=completion for a base model"
        )
    if settings.chat_template_kwargs:
        templates = tokenizer.chat_template
        arguments = settings.chat_template_kwargs
        tokenizer.chat_template = (
            {key: _with_defaults(text, arguments, name) for key, text in templates.items()}
            if isinstance(templates, dict)
            else _with_defaults(templates, arguments, name)
        )


def plain_text(messages: Sequence[Message]) -> str:
    """The text of a prompt's messages, as the plain template renders it."""
    return "\n\n".join(message["content"] for message in messages)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ModelError(
            f"chat_template '{path}': {reason}: name a Jinja file, or '{COMPLETION}' for none"
        ) from None


def _plain(tokenizer: Any) -> str:
    """The plain template, with the token that this tokenizer puts at the beginning of a text."""
    if tokenizer.eos_token is None:
        raise ModelError(f"{tokenizer.name_or_path}: its tokenizer has no end-of-sequence token")
    first = tokenizer("x")["input_ids"][:1]
    begins = tokenizer.bos_token is not None and first == [tokenizer.bos_token_id]
    return ("{{ bos_token }}" if begins else "") + PLAIN


def _with_defaults(template: str, arguments: Mapping[str, Any], name: str) -> str:
    """A template in which these arguments have values, unless the caller passes others."""
    text = ""
    for key, value in arguments.items():
        if not key.isidentifier() or not re.search(rf"\b{key}\b", template):
            raise ModelError(f"{name}: its chat template has no argument '{key}' (chat_template_kwargs)")
        text += f"{{% if {key} is not defined %}}{{% set {key} = {_literal(value)} %}}{{% endif %}}"
    return template if template.startswith(text) else text + template


def _literal(value: Any) -> str:
    """A value of YAML as Jinja writes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(str(key))}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return "none" if value is None else json.dumps(value)
