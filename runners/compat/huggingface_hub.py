"""Everything of ours that relies on undocumented parts of huggingface_hub.

Checked against huggingface_hub 2.4.0. ``tests/test_compat.py`` fails where one of these parts has changed.
"""

from huggingface_hub import constants


def go_offline() -> None:
    """Read the cache only, from now on: the documented variable HF_HUB_OFFLINE is read at import only."""
    constants.HF_HUB_OFFLINE = True
