"""Answers from a live model, shared prompts computed once. Start at `prefix_cache.py`."""
