"""Ask models and train them. Start at `types.py`."""
