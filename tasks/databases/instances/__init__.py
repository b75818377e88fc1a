"""Other instances of a database: same schema, other rows. Start at `variants.py`."""
