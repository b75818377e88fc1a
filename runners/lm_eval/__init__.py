"""lm-evaluation-harness: `runner.py` asks its models, `model.py` offers it ours."""
