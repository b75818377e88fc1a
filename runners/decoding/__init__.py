"""Decode answers with a loaded model, computing shared prefixes once. Start at `prefix_cache.py`."""
