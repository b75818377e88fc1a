"""Train models: SFT and GRPO on TRL. Start at `config.py`, then `grpo.py`."""
