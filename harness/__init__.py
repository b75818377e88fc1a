"""The application: the command line, evaluation and training. Start at `cli.py`."""
