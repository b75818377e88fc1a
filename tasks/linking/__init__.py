"""Schema linking: which tables and columns of a large database a prompt shows for a question."""
