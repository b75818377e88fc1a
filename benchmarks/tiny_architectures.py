"""Tiny models with random weights, one for each architecture that users are likely to bring.

Windows, rotary embeddings and contexts are short, so that short texts reach their boundaries: ``WINDOW``
tokens in a sliding window, ``ORIGINAL`` before an embedding changes with the length, ``CONTEXT`` in all.
``benchmarks/architectures.py`` prints what works with each; tests use a few.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

WINDOW, ORIGINAL, CONTEXT = 32, 96, 192
LAST_NORM = re.compile(r"(^|model\.|transformer\.|decoder\.)[a-z_]*(norm|ln|layernorm)[a-z_]*\.weight$")
TABLE = Path(__file__).with_suffix(".yaml")
Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A row of the table. ``config``: the configuration class of transformers, without "Config".

    ``settings`` are added to the table's ``base``, or taken alone with ``bare``. ``text`` and ``vision``
    are the settings of a multimodal model's parts.
    """

    config: str
    settings: Settings = field(default_factory=dict)
    bare: bool = False
    text: Settings | None = None
    vision: Settings = field(default_factory=dict)

    def configuration(self, vocabulary: int, ends: dict[str, int]) -> Any:
        """The configuration for a tokenizer with these special tokens. Raises AttributeError: this version
        of transformers does not have the architecture."""
        import transformers

        kind = getattr(transformers, f"{self.config}Config")
        base = {} if self.bare else ROWS["base"]
        if self.text is not None:
            text = {**base, **self.text, **ends, "vocab_size": vocabulary}
            return kind(
                text_config=text, vision_config=self.vision or ROWS["vision"], **self.settings, **ends
            )
        return kind(**{**base, **self.settings, **ends, "vocab_size": vocabulary})


ROWS = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
ARCHITECTURES = {name: Architecture(**row) for name, row in ROWS["architectures"].items()}


@cache
def tokenizer_folder() -> Path:
    """The folder of a real tokenizer: SmolLM2's where it is installed, else nano's."""
    from runners.nano import FOLDER
    from runners.weights.source import resolve
    from tasks.common.errors import ModelError

    try:
        return Path(resolve("smollm2").path)
    except ModelError:
        return Path(FOLDER)


def save(name: str, folder: Path, tokenizer: Any) -> Path:
    """Write the tiny model of a row, with float32 weights, and its tokenizer to a folder.

    Raises AttributeError: this version of transformers does not have the architecture.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.utils.logging import disable_progress_bar

    kinds = ("bos_token_id", "eos_token_id", "pad_token_id")
    ends = {kind: id for kind in kinds if (id := getattr(tokenizer, kind)) is not None}
    row = ARCHITECTURES[name]
    config = row.configuration(len(tokenizer), ends)
    kind: Any = AutoModelForCausalLM if row.text is None else AutoModelForImageTextToText
    torch.manual_seed(0)
    model = kind.from_config(config).float()
    _widen(model)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _widen(model: Any) -> None:
    """Make random answers varied.

    An untrained model's near-uniform probabilities would tie, and with tied embeddings it would repeat the
    last token, if the last norm did not turn the hidden state and layers added little to it.
    """
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and 0 < parameter.std() < 0.1:
                parameter.mul_(0.1 / parameter.std())
            if parameter.ndim == 1 and LAST_NORM.search(name):
                parameter.add_(2 * torch.randn_like(parameter))
            if parameter.ndim == 1 and "post_feedforward" in name:
                parameter.add_(4)
            if not (parameter.any() or name.endswith("bias")):  # would hide what it multiplies
                parameter.add_(0.1 * torch.randn_like(parameter))
