"""Code that relies on undocumented behaviour of PEFT.

``CHECKED`` is the version that was read. ``tests/test_compat.py`` fails where a later one differs.
"""

from __future__ import annotations

from typing import Any

from peft import PeftModel

CHECKED = "0.21.2"


def bare_model(model: Any) -> Any:
    """The transformers model inside PEFT's wrapper, with the adapter's layers; without a wrapper the model.

    PEFT puts an adapter's layers into the model itself, and its wrapper adds nothing to ``forward``.
    """
    return model.get_base_model() if isinstance(model, PeftModel) else model
