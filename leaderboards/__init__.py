"""Store runs and compare them. Start at `types.py`, then `store.py`."""
