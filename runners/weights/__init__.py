"""The files of models: loading, adapters, 4-bit weights, saving, identity."""
