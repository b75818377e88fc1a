"""Everything of ours that relies on private or undocumented parts of transformers.

``CHECKED`` is the version that was read. ``tests/test_compat.py`` fails where a later one differs.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from torch import Tensor, arange, cat
from transformers import Cache, GenerationConfig
from transformers.cache_utils import DynamicLayer

CHECKED = "5.24.0"
KEPT_SETTINGS = ("eos_token_id", "pad_token_id", "bos_token_id", "decoder_start_token_id")


def keep_end_tokens(model: Any) -> None:
    """Drop all of the model's own generation settings but its special tokens.

    Penalties, ``min_p``, ``top_k``, forbidden and forced tokens would change answers without appearing in the
    run, and only where ``model.generate`` is called. An old ``config.json`` may hold them, too.
    """
    own = model.generation_config
    kept = {name: getattr(own, name, None) for name in KEPT_SETTINGS}
    model.generation_config = GenerationConfig(**kept)  # type: ignore[no-untyped-call]
    for name in model.config._get_generation_parameters():
        setattr(model.config, name, None)


def name_or_path(model: Any) -> str:
    """The folder or Hub id that a model was loaded from."""
    return str(model.config._name_or_path)


def attention(model: Any) -> str:
    """The attention implementation that a model uses: ``sdpa``, ``eager``, ``flash_attention_2``, ..."""
    return str(model.config._attn_implementation)


def transformer_layers(model: Any) -> list[Any]:
    """The modules that transformers never splits between devices: the layers of the model."""
    return [module for module in model.modules() if type(module).__name__ in model._no_split_modules]


def cache_of(layers: Sequence[GrowingLayer]) -> Any:
    """The key-value cache of these layers."""
    return Cache(layers=list(layers))


def cache_argument(model: Any) -> str:
    """The name of the argument by which a model takes its cache; it depends on the version."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "cache" if "cache" in inspect.signature(base.forward).parameters else "past_key_values"


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A cache layer with spare capacity, so that a step writes its own keys and copies no others."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = 0
        """Slots in use."""
        self.buffers: list[Tensor] = []
        """Keys and values: (rows, heads, capacity, head size) each."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append keys and values (rows, heads, new slots, head size); return all of them."""
        start, self.length = self.length, self.length + key_states.shape[-2]
        if not self.buffers:
            self.buffers = [key_states[:, :, :0], value_states[:, :, :0]]
        if self.length > self.buffers[0].shape[-2]:
            self.buffers = [_grown(buffer, start, 2 * self.length) for buffer in self.buffers]
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, start : self.length] = new
        keys, values = (buffer[:, :, : self.length] for buffer in self.buffers)
        return keys, values

    def get_seq_length(self) -> int:
        """Slots in use."""
        return self.length

    def select(self, rows: Tensor, slots: Tensor) -> None:
        """Keep these rows, in this order, and of each these slots (rows, slots)."""
        selected = []
        for buffer in self.buffers:
            heads = arange(buffer.shape[1], device=rows.device)
            selected.append(buffer[rows[:, None, None], heads[None, :, None], slots[:, None, :]])
        self.buffers = selected
        self.length = slots.shape[1]

    def append(self, other: GrowingLayer) -> None:
        """Add another layer's rows."""
        length = max(self.length, other.length)
        pairs = zip(self.buffers, other.buffers, strict=True)
        self.buffers = [
            cat([_padded(a, self.length, length), _padded(b, other.length, length)]) for a, b in pairs
        ]
        self.length = length


def _padded(buffer: Tensor, used: int, length: int) -> Tensor:
    """The used slots, then zeros: masked values must still be numbers."""
    padded = buffer.new_zeros(*buffer.shape[:2], length, buffer.shape[3])
    padded[:, :, :used] = buffer[:, :, :used]
    return padded


def _grown(buffer: Tensor, used: int, capacity: int) -> Tensor:
    grown = buffer.new_empty(*buffer.shape[:2], capacity, buffer.shape[3])
    grown[:, :, :used] = buffer[:, :, :used]
    return grown
