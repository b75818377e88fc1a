"""Score answers: one execution, every verdict. Start at `types.py`, then `grader.py`."""
