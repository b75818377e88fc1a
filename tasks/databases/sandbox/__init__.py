"""Untrusted SQL in warm worker processes that can be killed at any moment. Start at `pool.py`."""
