"""Score answers: one execution, every verdict. Start at `types.py`, then `grade.py`."""
