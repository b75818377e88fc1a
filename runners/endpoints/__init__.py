"""Models behind HTTP. Start at `openai.py`."""
