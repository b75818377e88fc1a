"""The sizes of a model's attention, from its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AttentionSizes:
    """The widths of all heads of a token's queries and of its keys, and the number of layers with attention.

    Values are as wide as keys. A state-space model has one head and no layer with attention.
    """

    queries: int
    keys: int
    layers: int

    @property
    def cached(self) -> int:
        """The keys and values that a token has in the cache of all layers."""
        return 2 * self.keys * self.layers


def attention_sizes(config: Any) -> AttentionSizes:
    """The sizes of a model with this configuration."""
    text = config.get_text_config()
    heads = getattr(text, "num_attention_heads", None)
    size = getattr(text, "head_dim", None) or text.hidden_size // (heads or 1)
    key_heads = _key_heads(text) or heads or 1
    kinds = getattr(text, "layer_types", None) or ["attention"] * text.num_hidden_layers
    layers = sum(("attention" in kind and kind != "linear_attention") or kind == "hybrid" for kind in kinds)
    return AttentionSizes(size * (heads or 1), size * key_heads, layers if heads else 0)


def _key_heads(text: Any) -> int | None:
    """The heads of keys where the configuration has them; None: as many as of queries."""
    if getattr(text, "multi_query", False) and not getattr(text, "new_decoder_architecture", False):
        return 1
    return getattr(text, "num_key_value_heads", None) or getattr(text, "num_kv_heads", None)
