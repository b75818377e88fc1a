"""Render results for a terminal with rich: one module for each type of result."""
