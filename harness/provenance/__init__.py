"""What a run or a model is made of, and where it is written."""
