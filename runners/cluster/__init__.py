"""A model on several nodes of a Ray cluster."""
