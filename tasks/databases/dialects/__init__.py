"""Translate queries from one engine's SQL to another's."""
