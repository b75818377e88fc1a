"""Code that relies on undocumented parts of huggingface_hub.

``CHECKED`` is the version that was read. ``tests/test_compat.py`` fails where a later one differs.
"""

from huggingface_hub import constants

CHECKED = "2.4.0"


def go_offline() -> None:
    """Read the cache only, from now on: the documented variable HF_HUB_OFFLINE is read at import only."""
    constants.HF_HUB_OFFLINE = True
