"""The model that ships: a Qwen3 with a million parameters, pretrained by ``python -m tools.nano build``."""

from pathlib import Path

FOLDER: Path = Path(__file__).parent / "model"
"""The Hugging Face folder of the model."""
