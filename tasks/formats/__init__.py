"""Readers of datasets whose files are no tables of questions and SQL: a file each."""
