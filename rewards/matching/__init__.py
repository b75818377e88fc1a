"""When a result is correct: `strict.py`, and the official rules of `spider.py` and `bird.py`."""
