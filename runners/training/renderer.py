"""A verifiers renderer for any chat template, whose next turn's tokens extend the last turn's exactly.

If the whole conversation were rendered and tokenized again, the model's answer could be split into other
tokens than those that were sampled, and training would use the wrong ones. In a client's config the name of
the renderer is ``runners.training.renderer.TemplateRenderer``.
"""

from __future__ import annotations

from typing import Any, Literal

from renderers import ParsedResponse, RenderedTokens
from renderers.configs import BaseRendererConfig
from renderers.default import DefaultRenderer

from runners.decoding.tokens import answer_text
from runners.dialogue import between


class TemplateRendererConfig(BaseRendererConfig):
    """The renderer has no settings."""

    name: Literal["template"] = "template"


class TemplateRenderer(DefaultRenderer):
    """The tokenizer's chat template, with turns that extend each other."""

    config_class = TemplateRendererConfig

    def __init__(self, tokenizer: Any, config: TemplateRendererConfig | None = None) -> None:
        super().__init__(tokenizer)

    @property
    def is_prefix_stable(self) -> bool:
        return True

    def parse_response(
        self, token_ids: list[int], *, tools: Any = None, prompt_ids: list[int] | None = None
    ) -> ParsedResponse:
        """The reply as evaluation and training read it, with its thoughts, which the scorer removes."""
        return ParsedResponse(content=answer_text(self._tokenizer, prompt_ids or [], token_ids))

    def bridge_to_next_turn(
        self,
        previous_prompt_ids: list[int],
        previous_completion_ids: list[int],
        new_messages: list[Any],
        *,
        tools: Any = None,
    ) -> RenderedTokens | None:
        """The tokens so far and those of one new user message; None for other new messages."""
        if [message["role"] for message in new_messages] != ["user"]:
            return None
        tail = between(self._tokenizer, new_messages[0]["content"])
        if tail is None:
            return None
        if previous_completion_ids[-1] == tail[0]:  # the model ended its answer itself
            tail = tail[1:]
        reused = [*previous_prompt_ids, *previous_completion_ids]
        return RenderedTokens(
            token_ids=[*reused, *tail],
            message_indices=[-1] * len(reused) + [0] * len(tail),
            message_roles=["user"],
        )
