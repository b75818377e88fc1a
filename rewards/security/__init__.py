"""Find what a query attempts beyond reading the allowed tables. Start at `scan.py`."""
