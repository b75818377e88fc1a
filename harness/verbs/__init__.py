"""The verbs of the command line, a file for each subject: their options, and what each does.

A verb's function takes the options and returns the exit code. Results go to stdout, progress to stderr.
What a verb needs is imported when it is called, so that ``--help`` and a wrong flag answer at once.
"""
