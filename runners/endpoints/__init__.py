"""Runners of models that are asked over HTTP. Start at `openai.py`."""
