"""Plans for several nodes."""
