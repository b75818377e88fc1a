"""Describe databases and execute untrusted SQL on them safely. Start at `sandbox.py`."""
