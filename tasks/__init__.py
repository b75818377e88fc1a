"""Task specs: which questions, of which databases, asked how. Start at `types.py`, then `spec.py`."""
