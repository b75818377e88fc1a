"""Describe databases and run untrusted SQL on them safely. Start at `schema.py` and `sandbox/pool.py`."""
