"""The weights of a model on disk: adapters, 4 bits, saving, identity."""
