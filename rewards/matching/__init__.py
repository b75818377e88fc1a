"""When a result is right: `strict.py`, and the official rules of `spider.py` and `bird.py`."""
