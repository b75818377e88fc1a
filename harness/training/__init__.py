"""Organise a training: its stages, rows, held-out questions, plan, processes and alarms."""
