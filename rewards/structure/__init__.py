"""The similarity of two queries' syntax trees. Start at `similarity.py`."""
