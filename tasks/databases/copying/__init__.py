"""Copy a database from one engine to another, with its types, keys and rows."""
