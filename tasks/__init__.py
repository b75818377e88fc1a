"""Tasks: questions, their databases, and their prompts. Start at `types.py`, then `spec.py`."""
