"""How alike two queries are as trees. Start at `similarity.py`."""
