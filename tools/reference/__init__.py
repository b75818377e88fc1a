"""The pages under ``docs/reference``, generated from the types: ``python -m tools.reference`` writes them."""
