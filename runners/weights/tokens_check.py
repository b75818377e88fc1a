"""Notice a tokenizer whose class divides texts otherwise than the model's tokenizer.json.

transformers 5 builds some tokenizers from vocabulary and merges alone. ``GPT2Tokenizer``, which SmolLM2's
files on the Hub name, then drops the rule of tokenizer.json that splits numbers into digits.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

TEXT = "x =  12\n 3 and don't  SELECT a1, b.c FROM t WHERE d >= '2020-01-01'\r\n\n  é½ 日本 🙂\t;"
"""Digits, white space and other scripts, which tokenizers divide by different rules."""


def warn_of_other_tokens(tokenizer: Any, path: str, revision: str | None) -> None:
    """Warn if a loaded tokenizer divides ``TEXT`` otherwise than its tokenizer.json."""
    from huggingface_hub import try_to_load_from_cache
    from tokenizers import Tokenizer

    file: Any = Path(path) / "tokenizer.json"
    if not Path(path).is_dir():
        file = try_to_load_from_cache(path, "tokenizer.json", revision=revision)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not isinstance(file, str | Path) or not Path(file).is_file():
        return
    trained = Tokenizer.from_file(str(file)).encode(TEXT, add_special_tokens=False).ids
    if backend.encode(TEXT, add_special_tokens=False).ids != trained:
        warnings.warn(
            f"{path}: transformers' {type(tokenizer).__name__} divides texts into other tokens than its"
            " tokenizer.json: in a copy of the folder, set tokenizer_class in tokenizer_config.json to"
            " PreTrainedTokenizerFast",
            stacklevel=2,
        )
