"""lm-evaluation-harness: `runner.py` asks its models, `model.py` makes our runners its models."""
